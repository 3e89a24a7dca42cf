//! Kernel programs: pieces, how they are combined, and their bytes.
//!
//! Each piece is written in place, and every instruction knows where to jump on failure, so
//! that one pass turns an expression into a program:
//!
//! ```text
//! A and B    A  B              a failure of A or B fails the whole piece
//! A or B     A  JMP(end)  B    a failure of A continues with B
//! not A      A  JMP(fail)      a failure of A continues after the piece
//! ```
//!
//! Reaching the end accepts the socket; jumping four bytes beyond it rejects the socket.
//!
//! Invariant: no offset is truncated.  Pieces are at most [`MAX_LEN`] long, which fits the 16
//! bits of a jump and of an attribute's length, and a netlink message with the send buffer
//! that `ss` sets.
//!
//! Source: `include/uapi/linux/inet_diag.h`.

#![allow(clippy::cast_possible_truncation, reason = "kernel integers are narrow; each cast is meant")]

use sockdiag_wire::bytecode::{INET_DIAG_BC_JMP as JMP, OP_LEN as JMP_LEN};

/// The longest program, in bytes.
pub(super) const MAX_LEN: usize = 0xf000;

/// A program that rejects every socket.
pub(super) fn reject_all() -> Vec<u8> {
    let mut out = Vec::new();
    put_jump(&mut out, 8);
    out
}

/// One instruction: its opcode, and the bytes after its four-byte head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Instruction {
    pub(super) code: u8,
    pub(super) payload: Vec<u8>,
}

/// Refers to a piece in [`Pieces`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece(usize);

#[derive(Clone, Debug)]
enum Shape {
    One(Instruction),
    Not(Piece),
    And(Piece, Piece),
    Or(Piece, Piece),
}

/// Pieces of programs; operands precede the pieces built from them.
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

    /// A piece of one instruction.
    pub(super) fn one(&mut self, code: u8, payload: Vec<u8>) -> Option<Piece> {
        let len = 4 + payload.len();
        self.add(Shape::One(Instruction { code, payload }), len)
    }

    /// The negation of a piece; `None` if it would be too long.
    pub(super) fn not(&mut self, piece: Piece) -> Option<Piece> {
        self.add(Shape::Not(piece), self.len(piece) + JMP_LEN)
    }

    /// The conjunction of two pieces; `None` if it would be too long.
    pub(super) fn and(&mut self, left: Piece, right: Piece) -> Option<Piece> {
        self.add(Shape::And(left, right), self.len(left) + self.len(right))
    }

    /// The disjunction of two pieces; `None` if it would be too long.
    pub(super) fn or(&mut self, left: Piece, right: Piece) -> Option<Piece> {
        self.add(Shape::Or(left, right), self.len(left) + JMP_LEN + self.len(right))
    }

    /// The bytes of a piece as a complete program.
    pub(super) fn program(&self, whole: Piece) -> Vec<u8> {
        enum Todo {
            /// Write this piece; the number is the offset to jump to on failure.
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
