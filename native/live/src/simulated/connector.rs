//! The connector of a simulated gateway: the venue's public half, and an account in this process.

use std::sync::Arc;

use domain::Nanos;
use venues::clock::Clock;
use venues::retry::Jitter;
use venues::{
    AccountEvent, AccountFeed, AccountProtocol, AccountStatistics, Connector, EmitAccount, FrameSink,
    Gateway, Instruments, MarketFeed, MarketProtocol, Reference, StreamMessage, StreamMessageKind,
    VenueError,
};

use super::SimulatedAccount;
use super::gateway::SimulatedGateway;

/// Public data of a venue, orders into a [`SimulatedAccount`].
#[derive(Debug)]
pub(crate) struct SimulatedConnector {
    pub(crate) public: Arc<dyn Connector>,
    pub(crate) account: SimulatedAccount,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Connector for SimulatedConnector {
    fn reference(&self) -> Arc<dyn Reference> {
        self.public.reference()
    }

    fn gateway(&self, _: &Arc<Instruments>) -> Result<Arc<dyn Gateway>, VenueError> {
        Ok(Arc::new(SimulatedGateway {
            account: self.account.clone(),
            clock: Arc::clone(&self.clock),
        }))
    }

    fn market_protocol(&self, instruments: &Arc<Instruments>, ahead_max: Nanos) -> Box<dyn MarketProtocol> {
        self.public.market_protocol(instruments, ahead_max)
    }

    fn account_protocol(&self, _: &Arc<Instruments>) -> Box<dyn AccountProtocol> {
        Box::new(SimulatedStream::new(self.account.clone()))
    }

    fn market_feed(
        &self,
        instruments: &Arc<Instruments>,
        jitter: Jitter,
        sink: Box<dyn FrameSink>,
    ) -> Result<MarketFeed, VenueError> {
        self.public.market_feed(instruments, jitter, sink)
    }

    /// The account is up at once; what it tells later comes with the engine's time, not with a socket's.
    fn account_feed(
        &self,
        _: &Arc<Instruments>,
        _: Jitter,
        mut sink: Box<dyn FrameSink>,
    ) -> Result<AccountFeed, VenueError> {
        let up = StreamMessage {
            ts_received: self.clock.now(),
            kind: StreamMessageKind::Connected,
        };
        sink.try_deliver(up).map_err(|_| VenueError::NotConnected {
            request: "the account's stream",
            detail: "its queue takes nothing".to_owned(),
        })?;
        Ok(AccountFeed::in_process())
    }
}

/// Reads what the account is told.
#[derive(Debug)]
pub(crate) struct SimulatedStream {
    account: SimulatedAccount,
    statistics: AccountStatistics,
}

impl SimulatedStream {
    pub(crate) fn new(account: SimulatedAccount) -> Self {
        Self {
            account,
            statistics: AccountStatistics::default(),
        }
    }
}

impl AccountProtocol for SimulatedStream {
    fn on_message(&mut self, message: &StreamMessage, emit: &mut EmitAccount<'_>) -> Result<(), VenueError> {
        match message.kind {
            StreamMessageKind::Connected => emit(AccountEvent::Up),
            StreamMessageKind::Disconnected(_) => emit(AccountEvent::Down),
            StreamMessageKind::Frame(_) => {
                self.statistics.messages += 1;
                if let Some(event) = self.account.take_told() {
                    emit(event);
                }
            }
            StreamMessageKind::Snapshot { .. } => self.statistics.unused += 1,
        }
        Ok(())
    }

    fn statistics(&self) -> &AccountStatistics {
        &self.statistics
    }
}
