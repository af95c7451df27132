//! What takes a venue's stream in, as the thread that decides does.

use std::hint::black_box;

use domain::MarketEvent;
use engine::market::Book;
use venues::{MarketProtocol, StreamMessage};

use crate::streams::Stream;

/// What takes a stream in: the venue's protocol and the engine's books.
pub(crate) struct Reader {
    protocol: Box<dyn MarketProtocol>,
    books: Vec<Book>,
    refused: usize,
}

impl Reader {
    pub(crate) fn new(stream: &Stream) -> Self {
        Self {
            protocol: stream.protocol(),
            books: stream.instruments.iter().map(|each| Book::new(each.id)).collect(),
            refused: 0,
        }
    }

    pub(crate) fn take(&mut self, message: &StreamMessage) {
        let Self {
            protocol,
            books,
            refused,
        } = self;
        let read = protocol.on_message(message, &mut |event| match event {
            MarketEvent::Book(update) => {
                let book = &mut books[usize::from(update.instrument.0)];
                *refused += usize::from(book.apply(&update, message.ts_received).is_err());
                black_box(book.top());
            }
            MarketEvent::BookInvalid(invalid) => {
                books[usize::from(invalid.instrument.0)].invalidate(invalid.reason);
            }
            other => {
                black_box(&other);
            }
        });
        *refused += usize::from(read.is_err());
        while black_box(protocol.take_resync_request()).is_some() {}
    }

    /// Every book stands, and nothing was refused: the figures are of work that was done.
    pub(crate) fn check(&self, stream: &Stream) {
        let name = stream.wire.name;
        assert_eq!(self.refused, 0, "{name}: messages were refused");
        let stand = self.books.iter().filter(|book| book.is_valid()).count();
        assert_eq!(stand, self.books.len(), "{name}: not every book stands");
    }
}

/// Which message of which stream comes next, so that all streams begin and end together.
pub(crate) fn merged(streams: &[Stream]) -> Vec<(usize, usize)> {
    let share = |&(stream, at): &(usize, usize)| at as f64 / streams[stream].messages.len() as f64;
    let each = |(stream, of): (usize, &Stream)| (0..of.messages.len()).map(move |at| (stream, at));
    let mut order: Vec<_> = streams.iter().enumerate().flat_map(each).collect();
    order.sort_by(|one, other| share(one).total_cmp(&share(other)));
    order
}
