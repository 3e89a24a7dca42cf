//! Sets as bit masks, all made by one macro.
//!
//! There are two forms.  A set *of* a field-less enum has its members for items,
//! and a member's bit is its number.  A set that lists names has a constant for
//! each of them, itself a set with one member, whose bits the macro numbers.
//! Either way no two members share a bit, and one too many for the integer does
//! not compile.

macro_rules! bit_set {
    // A set of the members of an enum.
    ($(#[$doc:meta])* $set:ident($int:ty) of $item:ty) => {
        bit_set!(@operations $(#[$doc])* $set($int));

        impl $set {
            /// The set without members.
            pub const EMPTY: Self = Self(0);

            /// The set of these members.
            pub const fn of(items: &[$item]) -> Self {
                let mut set = Self::EMPTY;
                let mut rest = items;
                while let [first, tail @ ..] = rest {
                    set = set.union(Self::only(*first));
                    rest = tail;
                }
                set
            }

            /// The set with one member.
            pub const fn only(item: $item) -> Self {
                Self(1 << item as u32)
            }

            /// Whether this is a member.
            pub const fn contains(self, item: $item) -> bool {
                self.intersects(Self::only(item))
            }
        }
    };
    // A set with a constant for each of its members.
    ($(#[$doc:meta])* $set:ident($int:ty) { $($(#[$member_doc:meta])* $member:ident,)* }) => {
        bit_set!(@operations $(#[$doc])* $set($int));

        const _: () = {
            #[allow(non_camel_case_types, clippy::upper_case_acronyms)]
            enum Bit { $($member,)* }

            impl $set {
                /// The set without members.
                pub const NONE: Self = Self(0);
                $($(#[$member_doc])* pub const $member: Self = Self(1 << Bit::$member as u32);)*

                /// Every member, by the name of its constant.
                pub const MEMBERS: &'static [(&'static str, Self)] =
                    &[$((stringify!($member), Self::$member),)*];
            }
        };
    };
    // What every set can do.
    (@operations $(#[$doc:meta])* $set:ident($int:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
        pub struct $set($int);

        impl $set {
            /// The mask: bit *n* stands for member number *n*.
            pub const fn bits(self) -> $int {
                self.0
            }

            /// How many members it has.
            pub const fn len(self) -> u32 {
                self.0.count_ones()
            }

            /// Whether it has no members.
            pub const fn is_empty(self) -> bool {
                self.0 == 0
            }

            /// Whether every member of the other set is a member of this one.
            pub const fn has(self, other: Self) -> bool {
                self.0 & other.0 == other.0
            }

            /// Whether the two sets have a member in common.
            pub const fn intersects(self, other: Self) -> bool {
                self.0 & other.0 != 0
            }

            /// The members of either set.
            #[must_use]
            pub const fn union(self, other: Self) -> Self {
                Self(self.0 | other.0)
            }

            /// The members of both sets.
            #[must_use]
            pub const fn intersection(self, other: Self) -> Self {
                Self(self.0 & other.0)
            }

            /// The members that the other set does not have.
            #[must_use]
            pub const fn minus(self, other: Self) -> Self {
                Self(self.0 & !other.0)
            }
        }
    };
}

#[cfg(test)]
mod tests {
    use crate::fields::{Groups, Needs};

    /// Members are sets with one bit, all different, and every name is there once.
    fn check<S: Copy + PartialEq>(members: &[(&str, S)], bits: impl Fn(S) -> u64) {
        let mut all = 0;
        for (at, (name, member)) in members.iter().enumerate() {
            assert_eq!(bits(*member), 1 << at, "{name}");
            assert_eq!(all & bits(*member), 0, "{name} shares a bit");
            all |= bits(*member);
            assert_eq!(members.iter().filter(|(other, _)| other == name).count(), 1, "{name} twice");
        }
    }

    #[test]
    fn members_have_bits_of_their_own() {
        check(Needs::MEMBERS, Needs::bits);
        check(Groups::MEMBERS, |groups| groups.bits().into());
    }

    #[test]
    fn sets_are_those_of_mathematics() {
        let (a, b) = (Needs::TOS, Needs::USERS);
        let both = a.union(b);
        assert_eq!((both.len(), both.minus(b), both.intersection(b)), (2, a, b));
        assert!(both.has(a) && both.has(both) && both.has(Needs::NONE) && !a.has(both));
        assert!(both.intersects(a) && !a.intersects(b) && !both.intersects(Needs::NONE));
        assert!(Needs::NONE.is_empty() && Needs::default() == Needs::NONE);
    }
}
