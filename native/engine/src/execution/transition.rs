//! The order state machine: one closed function from state and input to the next state.

use domain::OrderStatus;

/// What can happen to an order, stripped of amounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrderInput {
    /// Risk refused it.
    Deny,
    /// It was handed to the gateway.
    Submit,
    /// The venue has it.
    Accept,
    /// The venue refused it.
    Reject,
    /// It never reached the wire.
    NotSent,
    /// No answer: it may be live.
    LoseTrack,
    /// It traded in part.
    FillPart,
    /// It traded to its end.
    FillAll,
    /// We asked the venue to cancel it.
    RequestCancel,
    /// The venue canceled it.
    Cancel,
    /// The venue did not cancel it.
    RefuseCancel,
    /// The venue ended it.
    Expire,
    /// It was proven that the venue never had it.
    NotPlaced,
}

impl OrderInput {
    /// Every input, for tests over the whole table.
    pub const ALL: [Self; 13] = [
        Self::Deny,
        Self::Submit,
        Self::Accept,
        Self::Reject,
        Self::NotSent,
        Self::LoseTrack,
        Self::FillPart,
        Self::FillAll,
        Self::RequestCancel,
        Self::Cancel,
        Self::RefuseCancel,
        Self::Expire,
        Self::NotPlaced,
    ];
}

/// What is known of an order beside its state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OrderFacts {
    /// The venue has confirmed it.
    pub acknowledged: bool,
    /// Part of it has traded.
    pub partly_filled: bool,
}

impl OrderFacts {
    /// The state of an order that is live and has no cancel on its way.
    const fn working(self) -> OrderStatus {
        if self.partly_filled {
            OrderStatus::PartiallyFilled
        } else if self.acknowledged {
            OrderStatus::Accepted
        } else {
            OrderStatus::Submitted
        }
    }

    /// The venue has, or must have had, the order.
    const fn was_live(self) -> bool {
        self.acknowledged || self.partly_filled
    }
}

/// The outcome of an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// A new state.
    To(OrderStatus),
    /// Nothing new: a repeated or overtaken report.
    Stay,
    /// A contradiction: the state stays and someone is told.
    Illegal,
}

/// The next state.
///
/// Reports of two streams overtake each other, so what an ended order hears later of its own past is no
/// contradiction; that an order which was refused is alive, or that a confirmed one never existed, is.
#[must_use]
pub const fn step(status: OrderStatus, facts: OrderFacts, input: OrderInput) -> Step {
    use OrderStatus::{
        Accepted, Canceled, Denied, Expired, Filled, Initialized, PartiallyFilled, PendingCancel, Rejected,
        Submitted, Unknown,
    };
    match status {
        Initialized => match input {
            OrderInput::Submit => Step::To(Submitted),
            OrderInput::Deny => Step::To(Denied),
            _ => Step::Illegal,
        },
        Submitted | Accepted | PartiallyFilled | PendingCancel | Unknown => step_live(status, facts, input),
        Filled | Canceled | Expired => match input {
            OrderInput::Accept
            | OrderInput::LoseTrack
            | OrderInput::Cancel
            | OrderInput::RefuseCancel
            | OrderInput::NotPlaced
            | OrderInput::Expire => Step::Stay,
            _ => Step::Illegal,
        },
        Rejected => match input {
            OrderInput::Reject | OrderInput::LoseTrack | OrderInput::RefuseCancel | OrderInput::NotPlaced => {
                Step::Stay
            }
            _ => Step::Illegal,
        },
        Denied => match input {
            OrderInput::NotSent
            | OrderInput::LoseTrack
            | OrderInput::RefuseCancel
            | OrderInput::NotPlaced => Step::Stay,
            _ => Step::Illegal,
        },
    }
}

const fn step_live(status: OrderStatus, facts: OrderFacts, input: OrderInput) -> Step {
    use OrderStatus::{
        Canceled, Denied, Expired, Filled, PartiallyFilled, PendingCancel, Rejected, Submitted, Unknown,
    };
    let pending = matches!(status, PendingCancel);
    let unknown = matches!(status, Unknown);
    match input {
        OrderInput::Deny | OrderInput::Submit => Step::Illegal,
        OrderInput::FillAll => Step::To(Filled),
        OrderInput::Cancel => Step::To(Canceled),
        OrderInput::Expire => Step::To(Expired),
        OrderInput::FillPart => {
            if pending {
                Step::Stay
            } else {
                Step::To(PartiallyFilled)
            }
        }
        OrderInput::Accept => {
            if matches!(status, Submitted) || unknown {
                Step::To(
                    OrderFacts {
                        acknowledged: true,
                        ..facts
                    }
                    .working(),
                )
            } else {
                Step::Stay
            }
        }
        OrderInput::Reject | OrderInput::NotPlaced => {
            if facts.was_live() {
                Step::Illegal
            } else {
                Step::To(Rejected)
            }
        }
        OrderInput::NotSent => {
            if facts.was_live() {
                Step::Illegal
            } else {
                Step::To(Denied)
            }
        }
        OrderInput::LoseTrack => {
            if unknown {
                Step::Stay
            } else {
                Step::To(Unknown)
            }
        }
        OrderInput::RequestCancel => {
            if pending || unknown {
                Step::Stay
            } else {
                Step::To(PendingCancel)
            }
        }
        OrderInput::RefuseCancel => {
            if pending {
                Step::To(facts.working())
            } else {
                Step::Stay
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUSES: [OrderStatus; 11] = [
        OrderStatus::Initialized,
        OrderStatus::Submitted,
        OrderStatus::Accepted,
        OrderStatus::PartiallyFilled,
        OrderStatus::Filled,
        OrderStatus::PendingCancel,
        OrderStatus::Canceled,
        OrderStatus::Rejected,
        OrderStatus::Denied,
        OrderStatus::Expired,
        OrderStatus::Unknown,
    ];

    fn all_facts() -> [OrderFacts; 4] {
        [(false, false), (true, false), (false, true), (true, true)].map(|(acknowledged, partly_filled)| {
            OrderFacts {
                acknowledged,
                partly_filled,
            }
        })
    }

    #[test]
    fn nothing_leaves_a_terminal_state() {
        for status in STATUSES.into_iter().filter(|status| status.is_terminal()) {
            for facts in all_facts() {
                for input in OrderInput::ALL {
                    assert!(
                        !matches!(step(status, facts, input), Step::To(_)),
                        "{status:?} {input:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn every_state_is_reached_and_every_live_state_can_end() {
        let mut reached = vec![OrderStatus::Initialized];
        for _ in 0..STATUSES.len() {
            for status in reached.clone() {
                for facts in all_facts() {
                    for input in OrderInput::ALL {
                        if let Step::To(next) = step(status, facts, input)
                            && !reached.contains(&next)
                        {
                            reached.push(next);
                        }
                    }
                }
            }
        }
        assert_eq!(reached.len(), STATUSES.len());
        for status in STATUSES.into_iter().filter(|status| !status.is_terminal()) {
            let ends = OrderInput::ALL.into_iter().any(|input| {
                matches!(step(status, OrderFacts::default(), input), Step::To(next) if next.is_terminal())
            });
            assert!(ends, "{status:?} has no way out");
        }
    }

    #[test]
    fn a_live_order_that_never_existed_is_a_contradiction() {
        let live = OrderFacts {
            acknowledged: true,
            partly_filled: false,
        };
        for input in [OrderInput::Reject, OrderInput::NotSent, OrderInput::NotPlaced] {
            assert_eq!(step(OrderStatus::Unknown, live, input), Step::Illegal);
            let fresh = step(OrderStatus::Unknown, OrderFacts::default(), input);
            assert!(matches!(
                fresh,
                Step::To(OrderStatus::Rejected | OrderStatus::Denied)
            ));
        }
        assert_eq!(
            step(OrderStatus::Rejected, OrderFacts::default(), OrderInput::Accept),
            Step::Illegal
        );
    }

    #[test]
    fn a_refused_cancel_returns_the_order_to_what_it_was() {
        let cases = [
            (OrderFacts::default(), OrderStatus::Submitted),
            (
                OrderFacts {
                    acknowledged: true,
                    partly_filled: false,
                },
                OrderStatus::Accepted,
            ),
            (
                OrderFacts {
                    acknowledged: true,
                    partly_filled: true,
                },
                OrderStatus::PartiallyFilled,
            ),
        ];
        for (facts, back) in cases {
            assert_eq!(
                step(OrderStatus::PendingCancel, facts, OrderInput::RefuseCancel),
                Step::To(back)
            );
        }
    }

    #[test]
    fn lost_track_is_a_state_not_a_no() {
        let lost = step(
            OrderStatus::Submitted,
            OrderFacts::default(),
            OrderInput::LoseTrack,
        );
        assert_eq!(lost, Step::To(OrderStatus::Unknown));
        let asked_again = step(
            OrderStatus::Unknown,
            OrderFacts::default(),
            OrderInput::RequestCancel,
        );
        assert_eq!(asked_again, Step::Stay);
    }
}
