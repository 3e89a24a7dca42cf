//! What an actor does with an established connection.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::os::fd::OwnedFd;
use std::str::FromStr;
use std::thread;
use std::time::{Duration, Instant};

use rustix::net::sockopt;

use crate::Why;

/// What to do with a connection; each variant gives the word for it.
#[derive(Clone, Copy, Debug)]
pub enum Deed {
    /// `hold`: keeps it open, and neither reads nor writes.
    Hold,
    /// `sink`, `sink:BYTES`: reads, at this many bytes a second.
    Sink(u64),
    /// `send`, `send:BYTES`: writes, at this many bytes a second, in ten pieces.
    Send(u64),
    /// `once:BYTES`: writes this many bytes, then keeps it open.
    Once(u64),
    /// `bits:BYTES`: writes pieces of this many bytes, thousands a second, each its own
    /// segment.
    Bits(u64),
    /// `bursts`: writes two megabytes, then a little now and then.
    Bursts,
    /// `close`: closes it.
    Close,
    /// `fin`: shuts down sending, and keeps it open.
    Fin,
    /// `shrink`: makes its receive buffer small after a while, and never reads.
    Shrink,
    /// `reset`: aborts it.
    Reset,
    /// `unread`: closes it once data has arrived, without reading the data.
    Unread,
    /// `serve`: answers until the other end closes, then closes it.
    Serve,
    /// `ask`, `ask:MS`: repeats a question and its answer, this many milliseconds apart.
    Ask(u64),
    /// `exchange`: one question, one answer, then closes it.
    Exchange,
}

impl FromStr for Deed {
    type Err = Why;

    fn from_str(word: &str) -> Result<Self, Why> {
        let (name, number) = word.split_once(':').unwrap_or((word, ""));
        let number = || if number.is_empty() { Ok(0) } else { number.parse() };
        let number = number().map_err(|error| Why::new(format!("{word}: {error}")))?;
        Ok(match name {
            "hold" => Self::Hold,
            "sink" => Self::Sink(number),
            "send" => Self::Send(number),
            "once" => Self::Once(number),
            "bits" => Self::Bits(number),
            "bursts" => Self::Bursts,
            "close" => Self::Close,
            "fin" => Self::Fin,
            "shrink" => Self::Shrink,
            "reset" => Self::Reset,
            "unread" => Self::Unread,
            "serve" => Self::Serve,
            "ask" => Self::Ask(number),
            "exchange" => Self::Exchange,
            _ => return Err(Why::new(format!("there is no deed {word:?}"))),
        })
    }
}

const TENTH: Duration = Duration::from_millis(100);
/// Length of a question and of an answer, in bytes.
const TALK: usize = 200;

impl Deed {
    /// Acts on the connection; an error ends the action silently.
    pub(super) fn act(self, fd: OwnedFd) {
        let mut stream = TcpStream::from(fd);
        let _ = self.act_on(&mut stream);
        match self {
            Self::Close | Self::Reset | Self::Unread | Self::Serve | Self::Exchange => {}
            _ => std::mem::forget(stream),
        }
    }

    fn act_on(self, stream: &mut TcpStream) -> std::io::Result<()> {
        let mut room = vec![b'x'; 64 << 10];
        match self {
            Self::Hold | Self::Close => Ok(()),
            Self::Sink(0) => loop {
                if stream.read(&mut room)? == 0 {
                    return Ok(());
                }
            },
            Self::Sink(per_second) => in_tenths(per_second, &mut room, |piece| match stream.read(piece)? {
                0 => Err(std::io::ErrorKind::UnexpectedEof.into()),
                _ => Ok(()),
            }),
            Self::Send(0) => loop {
                stream.write_all(&room)?;
            },
            Self::Send(per_second) => in_tenths(per_second, &mut room, |piece| stream.write_all(piece)),
            Self::Once(bytes) => {
                let mut left = usize::try_from(bytes).unwrap_or(usize::MAX);
                while left > 0 {
                    let piece = left.min(room.len());
                    stream.write_all(&room[..piece])?;
                    left -= piece;
                }
                Ok(())
            }
            Self::Bits(bytes) => {
                stream.set_nodelay(true)?;
                let piece = usize::try_from(bytes).unwrap_or(1).clamp(1, room.len());
                loop {
                    stream.write_all(&room[..piece])?;
                    // Without a pause, the kernel would merge pieces that wait to be sent.
                    thread::sleep(Duration::from_micros(150));
                }
            }
            Self::Bursts => {
                Self::Once(2 << 20).act_on(stream)?;
                for pause in [2, 10, 10, 10] {
                    thread::sleep(Duration::from_secs(pause));
                    stream.write_all(&room[..1000])?;
                }
                Ok(())
            }
            Self::Fin => stream.shutdown(Shutdown::Write),
            Self::Shrink => {
                thread::sleep(Duration::from_millis(300));
                Ok(sockopt::set_socket_recv_buffer_size(&*stream, 2304)?)
            }
            Self::Reset => Ok(sockopt::set_socket_linger(&*stream, Some(Duration::ZERO))?),
            Self::Unread => stream.peek(&mut room).map(|_| ()),
            Self::Serve => loop {
                if stream.read(&mut room[..TALK])? == 0 {
                    return Ok(());
                }
                stream.write_all(&room[..TALK])?;
            },
            Self::Ask(ms) => loop {
                ask(stream, &mut room)?;
                thread::sleep(Duration::from_millis(ms));
            },
            Self::Exchange => ask(stream, &mut room),
        }
    }
}

fn ask(stream: &mut TcpStream, room: &mut [u8]) -> std::io::Result<()> {
    stream.write_all(&room[..TALK])?;
    stream.read_exact(&mut room[..TALK])
}

/// Handles this many bytes a second, a tenth of them at a time.
fn in_tenths(
    per_second: u64,
    room: &mut [u8],
    mut handle: impl FnMut(&mut [u8]) -> std::io::Result<()>,
) -> std::io::Result<()> {
    let begun = Instant::now();
    let tenth = usize::try_from(per_second / 10).unwrap_or(usize::MAX).clamp(1, room.len());
    for count in 1.. {
        handle(&mut room[..tenth])?;
        thread::sleep((TENTH * count).saturating_sub(begun.elapsed()));
    }
    Ok(())
}
