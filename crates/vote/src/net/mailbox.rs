//! What is to be sent to a party, kept until it is surely no longer needed.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::exchange::Envelope;
use crate::machine::FrameBytes;

/// The letters for a party. Each connection reads them from the oldest one on; those of rounds before the last are thrown away.
#[derive(Debug, Default)]
pub(super) struct Mailbox {
    inner: Mutex<Inner>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    /// Sent first on every connection, whatever the round.
    lasting: Vec<Letter>,
    letters: VecDeque<(u32, Letter)>,
    /// The number of the oldest letter that is kept.
    first: usize,
    /// The connection that reads; an older one has to end.
    reader: u64,
    closed: bool,
    /// The number up to which the present connection has taken letters.
    taken: usize,
}

/// A frame, or the word that a round is open.
#[derive(Clone, Debug)]
pub(super) enum Letter {
    Frame(FrameBytes),
    Opens(u32),
}

impl Letter {
    pub(super) fn envelope(&self) -> Envelope {
        match self {
            Self::Frame(frame) => Envelope { frame: frame.to_vec(), opens_round: None },
            Self::Opens(round) => Envelope { frame: Vec::new(), opens_round: Some(*round) },
        }
    }
}

/// A place in a mailbox.
#[derive(Debug)]
pub(super) struct Cursor {
    reader: u64,
    lasting: usize,
    next: usize,
}

/// What a reader finds.
pub(super) enum Found {
    Letter(Letter),
    Nothing,
    End,
}

impl Mailbox {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing in here panics while it holds the lock.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends on every connection, first of all.
    pub(super) fn post_lasting(&self, letter: Letter) {
        self.lock().lasting.push(letter);
        self.changed.notify_waiters();
    }

    /// Sends a letter of a round.
    pub(super) fn post(&self, round: u32, letter: Letter) {
        let mut inner = self.lock();
        while inner.letters.front().is_some_and(|(old, _)| old.saturating_add(1) < round) {
            inner.letters.pop_front();
            inner.first += 1;
        }
        inner.letters.push_back((round, letter));
        drop(inner);
        self.changed.notify_waiters();
    }

    /// No letter follows; connections end when they have sent what there is.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_waiters();
    }

    /// Whether the present connection has taken all letters.
    pub(super) fn is_taken(&self) -> bool {
        let inner = self.lock();
        inner.taken >= inner.first + inner.letters.len()
    }

    /// A new connection, which replaces the one before it.
    pub(super) fn open(&self) -> Cursor {
        let mut inner = self.lock();
        inner.reader += 1;
        inner.taken = inner.first;
        let cursor = Cursor { reader: inner.reader, lasting: 0, next: inner.first };
        drop(inner);
        self.changed.notify_waiters();
        cursor
    }

    fn look(&self, cursor: &mut Cursor) -> Found {
        let mut inner = self.lock();
        if cursor.reader != inner.reader {
            return Found::End;
        }
        if let Some(letter) = inner.lasting.get(cursor.lasting).cloned() {
            cursor.lasting += 1;
            return Found::Letter(letter);
        }
        cursor.next = cursor.next.max(inner.first);
        inner.taken = cursor.next;
        match inner.letters.get(cursor.next - inner.first).cloned() {
            Some((_, letter)) => {
                cursor.next += 1;
                Found::Letter(letter)
            }
            None if inner.closed => Found::End,
            None => Found::Nothing,
        }
    }

    /// The next letter, once there is one; `None` when the connection has to end.
    pub(super) async fn next(&self, cursor: &mut Cursor) -> Option<Letter> {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            // From here on no change is missed.
            changed.as_mut().enable();
            match self.look(cursor) {
                Found::Letter(letter) => return Some(letter),
                Found::End => return None,
                Found::Nothing => changed.await,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_of(letter: &Letter) -> u32 {
        match letter {
            Letter::Opens(round) => *round,
            Letter::Frame(_) => u32::MAX,
        }
    }

    #[test]
    fn a_new_connection_reads_the_last_two_rounds_again_and_ends_the_old_one() {
        let mailbox = Mailbox::default();
        mailbox.post_lasting(Letter::Frame([1][..].into()));
        for round in 0..4 {
            mailbox.post(round, Letter::Opens(round));
        }
        let read = |cursor: &mut Cursor| {
            std::iter::from_fn(|| match mailbox.look(cursor) {
                Found::Letter(letter) => Some(round_of(&letter)),
                _ => None,
            })
            .collect::<Vec<_>>()
        };
        let mut first = mailbox.open();
        assert_eq!(read(&mut first), [u32::MAX, 2, 3]);
        assert!(mailbox.is_taken());
        let mut second = mailbox.open();
        assert!(!mailbox.is_taken());
        assert!(matches!(mailbox.look(&mut first), Found::End));
        mailbox.post(4, Letter::Opens(4));
        assert_eq!(read(&mut second), [u32::MAX, 3, 4]);
        mailbox.close();
        assert!(matches!(mailbox.look(&mut second), Found::End));
    }
}
