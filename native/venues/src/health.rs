//! Whether a venue as a whole can be traded on.

use domain::{Venue, VenueState, VenueStatus};

/// Joins "market data is up", "our account's events are up" and "the venue takes new orders, by its own word" into one
/// state.
///
/// ```
/// use domain::{Venue, VenueState};
/// let mut health = venues::VenueHealth::new(Venue::Binance);
/// assert_eq!(health.market(true), None);
/// assert_eq!(health.account(true).unwrap().state, VenueState::Online);
/// assert_eq!(health.takes_orders(false).unwrap().state, VenueState::Offline);
/// assert_eq!(health.account(false), None);
/// assert_eq!(health.takes_orders(true), None);
/// assert_eq!(health.account(true).unwrap().state, VenueState::Online);
/// ```
#[derive(Debug, Clone)]
pub struct VenueHealth {
    venue: Venue,
    market: bool,
    account: bool,
    takes_orders: bool,
}

impl VenueHealth {
    /// Both down, of a venue that has said nothing against orders.
    #[must_use]
    pub const fn new(venue: Venue) -> Self {
        Self {
            venue,
            market: false,
            account: false,
            takes_orders: true,
        }
    }

    /// Market data went up or down; the status when the whole changed.
    pub fn market(&mut self, up: bool) -> Option<VenueStatus> {
        let before = self.state();
        self.market = up;
        self.change(before)
    }

    /// The account's stream went up or down; the status when the whole changed.
    pub fn account(&mut self, up: bool) -> Option<VenueStatus> {
        let before = self.state();
        self.account = up;
        self.change(before)
    }

    /// Whether the venue takes new orders, by its own word; the status when the whole changed.
    pub fn takes_orders(&mut self, takes_orders: bool) -> Option<VenueStatus> {
        let before = self.state();
        self.takes_orders = takes_orders;
        self.change(before)
    }

    /// The state now.
    #[must_use]
    pub const fn state(&self) -> VenueState {
        if self.market && self.account && self.takes_orders {
            VenueState::Online
        } else {
            VenueState::Offline
        }
    }

    fn change(&self, before: VenueState) -> Option<VenueStatus> {
        let state = self.state();
        (state != before).then_some(VenueStatus {
            venue: self.venue,
            state,
        })
    }
}
