//! Market events: book first, then marks, then bars, then the strategies that watch quotes.

use domain::{Bar, Instrument, InstrumentId, MarketEvent, Quote, Timestamp, Trade, VenueState, VenueStatus};

use super::Engine;
use crate::action::{Action, Actions, Alert};
use crate::market::BarOutcome;
use crate::probe::{Probe, Stage};
use crate::risk::venue_index;
use crate::strategy::TopOfBook;

impl<P: Probe> Engine<P> {
    pub(super) fn on_market(&mut self, event: &MarketEvent<'_>, actions: &mut Actions) {
        let now = self.now;
        match event {
            MarketEvent::Book(update) => {
                let Some(state) = self.state_mut(update.instrument, actions) else {
                    return;
                };
                if state.book.apply(update, now).is_ok() {
                    state.data_ts = update.ts_event;
                }
                self.probe.stage_ended(Stage::Book);
                self.after_book(update.instrument, update.ts_event, actions);
            }
            MarketEvent::Quote(quote) => {
                let Some(state) = self.state_mut(quote.instrument, actions) else {
                    return;
                };
                state.book.apply_quote(quote, now);
                if state.book.last_update() == now {
                    state.data_ts = quote.ts_event;
                }
                self.probe.stage_ended(Stage::Book);
                self.after_book(quote.instrument, quote.ts_event, actions);
            }
            MarketEvent::Trade(trade) => self.on_trade(trade, actions),
            MarketEvent::BookInvalid(invalid) => {
                if let Some(state) = self.state_mut(invalid.instrument, actions) {
                    state.book.invalidate(invalid.reason);
                    state.lose_top();
                }
            }
            MarketEvent::InstrumentUpdated(instrument) => self.on_instrument(instrument, actions),
            MarketEvent::VenueStatus(status) => self.on_venue_status(*status, actions),
        }
    }

    /// A bar from the venue's history: remembered, and fed to features when the next one closes.
    pub(super) fn on_historical_bar(&mut self, bar: &Bar, actions: &mut Actions) {
        let span = self.config.bar_span;
        let Some(state) = self.state_mut(bar.instrument, actions) else {
            return;
        };
        if bar.span != span || !bar.is_consistent() {
            return;
        }
        state.bars.on_historical(bar);
        let newest = state
            .history
            .last()
            .is_none_or(|last| bar.number() > last.number());
        state.remember(*bar);
        if newest {
            self.feed_features(bar);
        }
    }

    fn on_trade(&mut self, trade: &Trade, actions: &mut Actions) {
        let Some(state) = self.instruments.get_mut(usize::from(trade.instrument.0)) else {
            actions.push(Action::Alert(Alert::UnknownInstrument(trade.instrument)));
            return;
        };
        let closed = &mut self.closed;
        state.bars.on_trade(trade, &mut |outcome| closed.push(outcome));
        if let Some(flow) = &mut state.flow {
            flow.on_trade(trade);
        }
        self.on_bars(trade.instrument, actions);
        self.on_event_bars(trade, actions);
    }

    /// A trade may close bars that close by events: each is asked about at once.
    fn on_event_bars(&mut self, trade: &Trade, actions: &mut Actions) {
        let instrument = usize::from(trade.instrument.0);
        for at in 0..self.instruments[instrument].series.len() {
            if let Some((rule, number, bar)) = self.instruments[instrument].series.on_trade(at, trade) {
                let known = (&bar.as_bar(trade.instrument), &bar.beside());
                self.decide_events(rule, number, known, actions);
            }
        }
    }

    /// What follows from a change of the book: marks and risk, bars by its time, quote strategies.
    fn after_book(&mut self, instrument: InstrumentId, ts_event: Timestamp, actions: &mut Actions) {
        let state = &mut self.instruments[usize::from(instrument.0)];
        let closed = &mut self.closed;
        state.bars.on_time(ts_event, &mut |outcome| closed.push(outcome));
        state.watch_top(ts_event);
        let top = state.book.top();
        if let Some(top) = top
            && self.positions.mark(instrument, top.mid())
        {
            self.watch_equity(actions);
        }
        self.on_bars(instrument, actions);
        if let Some(top) = top {
            self.on_top(instrument, &top, ts_event, actions);
        }
    }

    /// Tells strategies that watch quotes of a new best bid or ask.
    fn on_top(
        &mut self,
        instrument: InstrumentId,
        top: &TopOfBook,
        ts_event: Timestamp,
        actions: &mut Actions,
    ) {
        let state = &mut self.instruments[usize::from(instrument.0)];
        let best = Some((top.bid, top.ask));
        if state.told == best {
            return;
        }
        state.told = best;
        let quote = Quote {
            instrument,
            ts_event,
            update_id: 0,
            bid: top.bid,
            bid_quantity: top.bid_quantity,
            ask: top.ask,
            ask_quantity: top.ask_quantity,
        };
        for at in 0..self.slots.len() {
            self.tell_quote(at, &quote, actions);
        }
    }

    fn tell_quote(&mut self, at: usize, quote: &Quote, actions: &mut Actions) {
        let slot = &mut self.slots[at];
        if slot.config.instrument != quote.instrument {
            return;
        }
        let size_scale = slot.size_scale();
        let Some(running) = slot
            .active
            .as_mut()
            .filter(|running| running.program.strategy.wants_quotes())
        else {
            return;
        };
        let state = &self.instruments[usize::from(quote.instrument.0)];
        let view = super::views::slot_view(
            (self.now, size_scale),
            state,
            self.positions.ledgers().get(at),
            &self.orders,
        );
        let Some(view) = view else { return };
        running.program.strategy.on_quote(&view, quote, &mut self.intents);
        self.probe.stage_ended(Stage::Strategy);
        self.carry_out(at, actions);
    }

    /// Bars that closed: every one is remembered and reported, only the newest is decided on.
    fn on_bars(&mut self, instrument: InstrumentId, actions: &mut Actions) {
        if self.closed.is_empty() {
            return;
        }
        let newest = self
            .closed
            .iter()
            .rposition(|outcome| matches!(outcome, BarOutcome::Closed(_)));
        for at in 0..self.closed.len() {
            match self.closed[at] {
                BarOutcome::Closed(bar) => {
                    let state = &mut self.instruments[usize::from(instrument.0)];
                    state.remember(bar);
                    if let Some(flow) = &mut state.flow {
                        flow.confirm(bar.number());
                    }
                    actions.push(Action::BarClosed(bar));
                    self.decide(&bar, newest == Some(at), actions);
                }
                BarOutcome::Missing { from, to } => {
                    actions.push(Action::RequestHistory { instrument, from, to });
                }
            }
        }
        self.closed.clear();
    }

    /// New rules or status of an instrument; what it is cannot change while positions stand in it, but may become known.
    fn on_instrument(&mut self, instrument: &Instrument, actions: &mut Actions) {
        let Some(state) = self.state_mut(instrument.id, actions) else {
            return;
        };
        let identity = |one: &Instrument| (one.venue, one.symbol, one.base, one.quote);
        let known = &state.instrument;
        let becomes_known =
            known.is_untold() && (known.venue, known.symbol) == (instrument.venue, instrument.symbol);
        if becomes_known || identity(known) == identity(instrument) {
            state.instrument = *instrument;
        } else {
            actions.push(Action::Alert(Alert::UnknownInstrument(instrument.id)));
        }
    }

    fn on_venue_status(&mut self, status: VenueStatus, actions: &mut Actions) {
        let online = status.state == VenueState::Online;
        let link = &mut self.venues[venue_index(status.venue)];
        let came_back = online && !link.online;
        link.online = online;
        if online {
            if came_back {
                self.ask_about_unknown(status.venue, actions);
            }
            return;
        }
        // What happened meanwhile is not known: trading waits for a new reconciliation.
        link.reconciled = !self.config.require_reconciliation;
        for state in &mut self.instruments {
            if state.instrument.venue == status.venue {
                state.bars.mark_incomplete();
                state.series.begin(None);
                state.book.invalidate(domain::BookInvalidReason::Disconnected);
                state.lose_top();
                self.reconciliation.forget(state.instrument.id);
            }
        }
    }
}
