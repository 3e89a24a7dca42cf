//! Kernel programs: pieces, their composition and their bytes.
//!
//! A piece is laid out where it stands, and every instruction knows where to
//! go on failure, so that an expression becomes a program in one walk:
//!
//! ```text
//! A and B    A  B              a failure of either leaves through the end of B
//! A or B     A  JMP(end)  B    a failure of A goes on with B
//! not A      A  JMP(fail)      a failure of A falls onto the end
//! ```
//!
//! Running onto the end accepts; jumping four bytes past it rejects.
//!
//! Invariant: no offset is cut.  Pieces are never longer than [`MAX_LEN`],
//! which fits the 16 bits of a jump, those of an attribute, and the message
//! that a netlink socket sends with the buffer that `ss` asks for.
//!
//! Source: `include/uapi/linux/inet_diag.h`.

#![allow(clippy::cast_possible_truncation, reason = "kernel integers are narrow; each cast is meant")]

use sockdiag_wire::bytecode::{INET_DIAG_BC_JMP as JMP, OP_LEN as JMP_LEN};

/// The longest program, in bytes.
pub(super) const MAX_LEN: usize = 0xf000;

/// A program that lets nothing through.
pub(super) fn reject_all() -> Vec<u8> {
    let mut out = Vec::new();
    put_jump(&mut out, 8);
    out
}

/// One instruction: its code and what follows the four bytes of its head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Instruction {
    pub(super) code: u8,
    pub(super) payload: Vec<u8>,
}

/// A handle on a piece of its [`Pieces`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece(usize);

#[derive(Clone, Debug)]
enum Shape {
    One(Instruction),
    Not(Piece),
    And(Piece, Piece),
    Or(Piece, Piece),
}

/// Pieces of programs; operands stand before what is made of them.
#[derive(Clone, Debug, Default)]
pub(super) struct Pieces {
    shapes: Vec<(Shape, usize)>,
}

impl Pieces {
    fn add(&mut self, shape: Shape, len: usize) -> Option<Piece> {
        (len <= MAX_LEN).then(|| {
            self.shapes.push((shape, len));
            Piece(self.shapes.len() - 1)
        })
    }

    fn len(&self, piece: Piece) -> usize {
        self.shapes.get(piece.0).map_or(0, |(_, len)| *len)
    }

    /// One instruction; its payload is a few words long.
    pub(super) fn one(&mut self, code: u8, payload: Vec<u8>) -> Option<Piece> {
        let len = 4 + payload.len();
        self.add(Shape::One(Instruction { code, payload }), len)
    }

    /// The opposite; `None` if it would be too long.
    pub(super) fn not(&mut self, piece: Piece) -> Option<Piece> {
        self.add(Shape::Not(piece), self.len(piece) + JMP_LEN)
    }

    /// Both; `None` if they would be too long.
    pub(super) fn and(&mut self, left: Piece, right: Piece) -> Option<Piece> {
        self.add(Shape::And(left, right), self.len(left) + self.len(right))
    }

    /// Either; `None` if they would be too long.
    pub(super) fn or(&mut self, left: Piece, right: Piece) -> Option<Piece> {
        self.add(Shape::Or(left, right), self.len(left) + JMP_LEN + self.len(right))
    }

    /// The bytes of a piece as a whole program.
    pub(super) fn program(&self, whole: Piece) -> Vec<u8> {
        enum Todo {
            /// Write this piece; where to go if it fails.
            Piece(Piece, usize),
            /// Write a jump to this offset.
            Jump(usize),
        }
        let mut out = Vec::with_capacity(self.len(whole));
        let mut todo = vec![Todo::Piece(whole, self.len(whole) + 4)];
        while let Some(item) = todo.pop() {
            let start = out.len();
            let (piece, fail) = match item {
                Todo::Jump(target) => {
                    put_jump(&mut out, target - start);
                    continue;
                }
                Todo::Piece(piece, fail) => (piece, fail),
            };
            let Some((shape, len)) = self.shapes.get(piece.0) else { continue };
            match shape {
                Shape::One(Instruction { code, payload }) => {
                    out.extend_from_slice(&[*code, *len as u8]);
                    out.extend_from_slice(&((fail - start) as u16).to_ne_bytes());
                    out.extend_from_slice(payload);
                }
                Shape::Not(inner) => {
                    todo.extend([Todo::Jump(fail), Todo::Piece(*inner, start + len)]);
                }
                Shape::And(left, right) => {
                    todo.extend([Todo::Piece(*right, fail), Todo::Piece(*left, fail)]);
                }
                Shape::Or(left, right) => {
                    let other = start + self.len(*left) + JMP_LEN;
                    todo.extend([
                        Todo::Piece(*right, fail),
                        Todo::Jump(start + len),
                        Todo::Piece(*left, other),
                    ]);
                }
            }
        }
        out
    }
}

fn put_jump(out: &mut Vec<u8>, distance: usize) {
    out.extend_from_slice(&[JMP, JMP_LEN as u8]);
    out.extend_from_slice(&(distance as u16).to_ne_bytes());
}
