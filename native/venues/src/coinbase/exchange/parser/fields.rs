//! The fields of a message as text, whichever reader found them.

/// Text of the fields we know; `None` where a field is missing or null.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fields<'a> {
    pub(super) kind: Option<&'a [u8]>,
    pub(super) product_id: Option<&'a [u8]>,
    pub(super) time: Option<&'a [u8]>,
    pub(super) sequence: Option<&'a [u8]>,
    pub(super) trade_id: Option<&'a [u8]>,
    pub(super) last_trade_id: Option<&'a [u8]>,
    pub(super) order_id: Option<&'a [u8]>,
    pub(super) maker_order_id: Option<&'a [u8]>,
    pub(super) side: Option<&'a [u8]>,
    pub(super) price: Option<&'a [u8]>,
    pub(super) new_price: Option<&'a [u8]>,
    pub(super) size: Option<&'a [u8]>,
    pub(super) remaining_size: Option<&'a [u8]>,
    pub(super) new_size: Option<&'a [u8]>,
    pub(super) best_bid: Option<&'a [u8]>,
    pub(super) best_bid_size: Option<&'a [u8]>,
    pub(super) best_ask: Option<&'a [u8]>,
    pub(super) best_ask_size: Option<&'a [u8]>,
}

/// What a field's value is on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Text,
    Number,
}

impl<'a> Fields<'a> {
    /// Where the text of a field goes, and its form; `None` for a field we do not know.
    pub(super) fn place(&mut self, name: &[u8]) -> Option<(&mut Option<&'a [u8]>, Form)> {
        let text = |place| Some((place, Form::Text));
        let number = |place| Some((place, Form::Number));
        match name {
            b"type" => text(&mut self.kind),
            b"product_id" => text(&mut self.product_id),
            b"time" => text(&mut self.time),
            b"sequence" => number(&mut self.sequence),
            b"trade_id" => number(&mut self.trade_id),
            b"last_trade_id" => number(&mut self.last_trade_id),
            b"order_id" => text(&mut self.order_id),
            b"maker_order_id" => text(&mut self.maker_order_id),
            b"side" => text(&mut self.side),
            b"price" => text(&mut self.price),
            b"new_price" => text(&mut self.new_price),
            b"size" => text(&mut self.size),
            b"remaining_size" => text(&mut self.remaining_size),
            b"new_size" => text(&mut self.new_size),
            b"best_bid" => text(&mut self.best_bid),
            b"best_bid_size" => text(&mut self.best_bid_size),
            b"best_ask" => text(&mut self.best_ask),
            b"best_ask_size" => text(&mut self.best_ask_size),
            _ => None,
        }
    }
}
