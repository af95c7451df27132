//! Who may ask for what: the one closed table.

use std::fmt;

use crate::command::CommandKind;

/// What the holder of a key may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Looks.
    Viewer,
    /// Runs the service by hand.
    Operator,
    /// Deploys approved bundles, and nothing else.
    Deployer,
    /// Stops, and nothing else: a watchdog, or a person at night.
    Killer,
}

impl Role {
    /// Every role, in a fixed order.
    pub const ALL: [Self; 4] = [Self::Viewer, Self::Operator, Self::Deployer, Self::Killer];

    /// Its name in configuration and records.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Deployer => "deployer",
            Self::Killer => "killer",
        }
    }

    /// The role of a name as in [`Role::as_str`].
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == name)
    }

    /// Whether this role may send this command.
    ///
    /// Everybody may see whether the service lives. Stopping is for killers and operators; undoing a stop takes an
    /// operator, that is a person. Only a deployer brings in a bundle; going back to the previous one is also an
    /// operator's emergency.
    #[must_use]
    pub const fn may(self, kind: CommandKind) -> bool {
        match kind {
            CommandKind::QueryStatus => true,
            CommandKind::QueryOrders
            | CommandKind::QueryPositions
            | CommandKind::QueryFills
            | CommandKind::QueryPnl
            | CommandKind::Snapshot => matches!(self, Self::Viewer | Self::Operator),
            CommandKind::Pause
            | CommandKind::Cancel
            | CommandKind::ReduceOnly
            | CommandKind::Flatten
            | CommandKind::Kill => matches!(self, Self::Operator | Self::Killer),
            CommandKind::Start
            | CommandKind::Rearm
            | CommandKind::SetParameter
            | CommandKind::TellSlow
            | CommandKind::ManualOrder
            | CommandKind::ManualCancel => matches!(self, Self::Operator),
            CommandKind::Rollback => matches!(self, Self::Operator | Self::Deployer),
            CommandKind::Deploy => matches!(self, Self::Deployer),
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table again, written as rows: a change of one without the other fails.
    #[test]
    fn the_table_is_closed() {
        use Role::{Deployer, Killer, Operator, Viewer};
        let looks: &[Role] = &[Viewer, Operator];
        let stops: &[Role] = &[Operator, Killer];
        let table: [(CommandKind, &[Role]); 19] = [
            (CommandKind::Deploy, &[Deployer]),
            (CommandKind::Rollback, &[Operator, Deployer]),
            (CommandKind::Start, &[Operator]),
            (CommandKind::Pause, stops),
            (CommandKind::Cancel, stops),
            (CommandKind::ReduceOnly, stops),
            (CommandKind::Flatten, stops),
            (CommandKind::Kill, stops),
            (CommandKind::Rearm, &[Operator]),
            (CommandKind::SetParameter, &[Operator]),
            (CommandKind::ManualOrder, &[Operator]),
            (CommandKind::ManualCancel, &[Operator]),
            (CommandKind::QueryStatus, &Role::ALL),
            (CommandKind::QueryOrders, looks),
            (CommandKind::QueryPositions, looks),
            (CommandKind::QueryFills, looks),
            (CommandKind::QueryPnl, looks),
            (CommandKind::Snapshot, looks),
            (CommandKind::TellSlow, &[Operator]),
        ];
        assert_eq!(table.map(|(kind, _)| kind), CommandKind::ALL);
        for (kind, allowed) in table {
            for role in Role::ALL {
                assert_eq!(role.may(kind), allowed.contains(&role), "{role} {kind}");
            }
        }
    }

    #[test]
    fn names_round_trip() {
        for role in Role::ALL {
            assert_eq!(Role::from_name(role.as_str()), Some(role));
        }
        assert_eq!(Role::from_name("trader"), None);
    }
}
