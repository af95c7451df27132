use domain::{InstrumentId, OrderType, Price, TimeInForce, Timestamp};
use proptest::prelude::*;

use super::*;

const SLOTS: [SlotId; 2] = [SlotId(0), SlotId(4)];

fn manager() -> OrderManager {
    OrderManager::new(Epoch(1), SLOTS.to_vec())
}

fn request(id: ClientOrderId, side: Side, quantity: i64) -> OrderRequest {
    OrderRequest {
        client_order_id: id,
        instrument: InstrumentId(0),
        side,
        order_type: OrderType::Limit,
        price: Some(Price::from_units(10)),
        quantity: Quantity::from_units(quantity),
        time_in_force: TimeInForce::Gtc,
        post_only: false,
        reduce_only: false,
    }
}

fn submit(manager: &mut OrderManager, slot: SlotId, side: Side, quantity: i64) -> ClientOrderId {
    let id = manager.next_id(slot).unwrap();
    let order = Order::new(
        request(id, side, quantity),
        Price::from_units(10),
        Timestamp::EPOCH,
    );
    manager.insert(order, OrderStatus::Submitted).unwrap();
    id
}

#[test]
fn ids_end_when_the_counter_does() {
    let mut manager = manager();
    manager.counter = u32::MAX - 1;
    assert!(manager.next_id(SLOTS[0]).is_some());
    assert_eq!(manager.next_id(SLOTS[0]), None);
    manager.begin_epoch(Epoch(2));
    let id = manager.next_id(SLOTS[0]).unwrap();
    assert_eq!((id.epoch, id.counter), (Epoch(2), 1));
}

#[test]
fn an_id_is_taken_once() {
    let mut manager = manager();
    let id = submit(&mut manager, SLOTS[0], Side::Buy, 5);
    let again = Order::new(request(id, Side::Buy, 5), Price::from_units(10), Timestamp::EPOCH);
    assert_eq!(manager.insert(again, OrderStatus::Submitted), None);
    manager.apply(id, OrderInput::Cancel);
    submit(&mut manager, SLOTS[0], Side::Buy, 5);
    assert_eq!(
        manager.insert(again, OrderStatus::Submitted),
        None,
        "not even when it has ended"
    );
    let nowhere = ClientOrderId {
        slot: SlotId(9),
        ..id
    };
    let stray = Order::new(
        request(nowhere, Side::Buy, 5),
        Price::from_units(10),
        Timestamp::EPOCH,
    );
    assert_eq!(manager.insert(stray, OrderStatus::Submitted), None);
}

#[test]
fn ended_orders_are_kept_newest_first_and_bounded() {
    let mut manager = manager();
    let mut ids = Vec::new();
    for _ in 0..ENDED_ORDERS_KEPT + 3 {
        let id = submit(&mut manager, SLOTS[1], Side::Sell, 1);
        manager.apply(id, OrderInput::Reject);
        ids.push(id);
    }
    let kept: Vec<_> = manager.ended().map(|view| view.request.client_order_id).collect();
    ids.reverse();
    ids.truncate(ENDED_ORDERS_KEPT);
    assert_eq!(kept, ids);
}

#[test]
fn exposure_counts_what_may_still_trade_at_its_own_price() {
    let mut manager = manager();
    let buy = submit(&mut manager, SLOTS[0], Side::Buy, 10);
    submit(&mut manager, SLOTS[0], Side::Sell, 7);
    manager.fill(buy, Quantity::from_units(4));
    manager.apply(buy, OrderInput::LoseTrack);
    let expected = Exposure {
        buys: 6,
        sells: 7,
        buy_notional: 60,
        working: 2,
        unknown: 1,
    };
    assert_eq!(manager.exposure(SLOTS[0]), expected);
    assert!(manager.has_unknown(InstrumentId(0)) && !manager.has_unknown(InstrumentId(1)));
    assert_eq!(manager.exposure(SLOTS[1]), Exposure::default());
    manager.apply(buy, OrderInput::Cancel);
    let expected = Exposure {
        sells: 7,
        working: 1,
        ..Exposure::default()
    };
    assert_eq!(manager.exposure(SLOTS[0]), expected);
}

/// The exposure, counted afresh.
fn recounted(manager: &OrderManager, slot: SlotId) -> Exposure {
    let mut exposure = Exposure::default();
    for order in manager
        .open()
        .iter()
        .filter(|order| order.view.request.client_order_id.slot == slot)
    {
        exposure.count(order, 1);
    }
    exposure
}

proptest! {
    #[test]
    fn whatever_is_reported_ended_orders_stay_ended_and_exposure_is_right(
        steps in prop::collection::vec((0usize..12, 0usize..16, 1i64..6, any::<bool>()), 1..200),
    ) {
        let mut manager = manager();
        let mut ids: Vec<(ClientOrderId, Option<OrderStatus>)> = Vec::new();
        for (which, what, quantity, first) in steps {
            if what == 0 {
                let (slot, side) = (SLOTS[usize::from(first)], if first { Side::Buy } else { Side::Sell });
                ids.push((submit(&mut manager, slot, side, quantity), None));
            } else if let Some((id, _)) = ids.get(which).copied() {
                if what <= 2 {
                    manager.fill(id, Quantity::from_units(quantity));
                } else {
                    manager.apply(id, OrderInput::ALL[what - 3]);
                }
            }
            for (id, ended) in &mut ids {
                let live = manager.get(*id).map(|order| order.view.status);
                let status = live.or_else(|| {
                    manager.ended().find(|view| view.request.client_order_id == *id).map(|view| view.status)
                });
                let status = status.expect("no order is lost");
                prop_assert_eq!(live.is_some(), !status.is_terminal());
                prop_assert!(ended.is_none_or(|before| before == status), "left {:?}", ended);
                *ended = status.is_terminal().then_some(status);
            }
            for slot in SLOTS {
                prop_assert_eq!(manager.exposure(slot), recounted(&manager, slot));
            }
        }
    }

    #[test]
    fn the_table_keeps_to_its_state_machine(inputs in prop::collection::vec(0usize..13, 1..40)) {
        let mut manager = manager();
        let id = submit(&mut manager, SLOTS[0], Side::Buy, 10);
        for input in inputs.into_iter().map(|at| OrderInput::ALL[at]) {
            let Some(before) = manager.get(id).copied() else { break };
            let expected = step(before.view.status, before.facts, input);
            let applied = manager.apply(id, input);
            match expected {
                Step::To(next) => prop_assert!(matches!(applied, Applied::Changed(order) if order.view.status == next)),
                Step::Stay => prop_assert_eq!(applied, Applied::Unchanged),
                Step::Illegal => prop_assert_eq!(applied, Applied::Contradiction(before.view)),
            }
        }
    }
}
