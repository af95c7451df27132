//! Orders: signatures, answers, codes, user data, balances, unknown outcomes.

#![allow(clippy::unwrap_used, reason = "what a test does not find, it fails on")]

mod client;

use client::{Client, OPEN_MS, Socket, number, paused, sign, start};
use domain::Decimal;
use serde_json::{Value, json};

const LIMIT: &str = "type=LIMIT&timeInForce=GTC";

async fn events(socket: &mut Socket) -> Vec<Value> {
    let (before, _) = socket.ask(&json!({ "id": "mark", "method": "ping" })).await;
    assert!(before.iter().all(|message| message["subscriptionId"] == 0));
    before
        .into_iter()
        .map(|message| message["event"].clone())
        .collect()
}

/// `x` of each execution report.
fn kinds(events: &[Value]) -> Vec<&str> {
    events
        .iter()
        .filter(|event| event["e"] == "executionReport")
        .map(|event| event["x"].as_str().unwrap())
        .collect()
}

async fn balance(client: &Client, asset: &str) -> (i64, i64) {
    let account = client.signed("GET", "account", "").await.json();
    let balances = account["balances"].as_array().unwrap();
    let held = balances.iter().find(|balance| balance["asset"] == asset).unwrap();
    (number(&held["free"]), number(&held["locked"]))
}

#[tokio::test]
async fn an_order_lives_through_its_states() {
    let (_server, client) = start(paused(2)).await;
    let mut user = client.user_data().await;
    client.advance(10_000).await;
    let placed = client
        .order(&format!(
            "side=BUY&{LIMIT}&quantity=0.5&price=39900&newClientOrderId=e1-s0-1"
        ))
        .await
        .json();
    assert_eq!(
        (&placed["status"], &placed["clientOrderId"]),
        (&json!("NEW"), &json!("e1-s0-1"))
    );
    assert_eq!(placed["fills"], json!([]));
    assert_eq!(placed["transactTime"], OPEN_MS + 10_000);
    assert_eq!(
        balance(&client, "USDT").await,
        (98_005_000_000_000, 1_995_000_000_000)
    );

    let queried = client
        .signed("GET", "order", "symbol=BTCUSDT&origClientOrderId=e1-s0-1")
        .await
        .json();
    assert_eq!(
        (&queried["status"], &queried["orderId"]),
        (&json!("NEW"), &placed["orderId"])
    );
    let open = client.signed("GET", "openOrders", "symbol=BTCUSDT").await.json();
    assert_eq!(open, json!([queried]));

    let twin = client
        .order(&format!(
            "side=BUY&{LIMIT}&quantity=0.5&price=39900&newClientOrderId=e1-s0-1"
        ))
        .await;
    assert_eq!(
        (twin.code(), &twin.json()["msg"]),
        (-2010, &json!("Duplicate order sent."))
    );

    let canceled = client
        .signed("DELETE", "order", "symbol=BTCUSDT&origClientOrderId=e1-s0-1")
        .await
        .json();
    assert_eq!(canceled["status"], "CANCELED");
    assert_eq!(canceled["origClientOrderId"], "e1-s0-1");
    assert_ne!(canceled["clientOrderId"], "e1-s0-1");
    assert_eq!(balance(&client, "USDT").await, (100_000_000_000_000, 0));
    let again = client
        .signed("DELETE", "order", "symbol=BTCUSDT&origClientOrderId=e1-s0-1")
        .await;
    assert_eq!(again.code(), -2011);

    let events = events(&mut user).await;
    assert_eq!(kinds(&events), ["NEW", "CANCELED"]);
    assert_eq!(
        (&events[0]["c"], &events[0]["C"]),
        (&json!("e1-s0-1"), &json!(""))
    );
    assert_eq!(events[2]["C"], "e1-s0-1");
    assert_eq!(events[1]["e"], "outboundAccountPosition");
    assert_eq!(
        events[1]["B"][1],
        json!({ "a": "USDT", "f": "980050.00000000", "l": "19950.00000000" })
    );
}

#[tokio::test]
async fn a_market_order_is_filled_and_paid_for() {
    let (_server, client) = start(paused(2)).await;
    let mut user = client.user_data().await;
    client.advance(20_000).await;
    let filled = client.order("side=BUY&type=MARKET&quantity=0.02").await.json();
    assert_eq!(
        (&filled["status"], &filled["type"]),
        (&json!("FILLED"), &json!("MARKET"))
    );
    let fill = &filled["fills"][0];
    assert_eq!(fill["commissionAsset"], "BTC");
    // Ten basis points of what was bought.
    assert_eq!(fill["commission"], "0.00002000");
    let (base, _) = balance(&client, "BTC").await;
    assert_eq!(base, 1_000_000_000 + 2_000_000 - 2_000);
    let (quote, locked) = balance(&client, "USDT").await;
    let paid = number(&filled["cummulativeQuoteQty"]);
    assert_eq!(locked, 0);
    // Cut off to eight decimals on both sides.
    assert!((100_000_000_000_000 - paid - quote).abs() <= 1);

    let trades = client.signed("GET", "myTrades", "symbol=BTCUSDT").await.json();
    let sum: i64 = trades
        .as_array()
        .unwrap()
        .iter()
        .map(|trade| number(&trade["qty"]))
        .sum();
    assert_eq!(sum, 2_000_000);
    assert_eq!(trades[0]["id"], fill["tradeId"]);
    let tape = client.get("trades?symbol=BTCUSDT").await;
    let printed = tape
        .as_array()
        .unwrap()
        .iter()
        .find(|trade| trade["id"] == fill["tradeId"])
        .unwrap();
    assert_eq!(
        (&printed["price"], &printed["isBuyerMaker"]),
        (&fill["price"], &json!(false))
    );

    let events = events(&mut user).await;
    assert_eq!(kinds(&events)[..2], ["NEW", "TRADE"]);
    let trade = &events[1];
    assert_eq!(
        (&trade["t"], &trade["N"], &trade["m"]),
        (&fill["tradeId"], &json!("BTC"), &json!(false))
    );
    assert_eq!((&trade["n"], &trade["L"]), (&fill["commission"], &fill["price"]));
}

#[tokio::test]
async fn a_resting_order_is_filled_by_the_flow_in_parts() {
    let (_server, client) = start(paused(2)).await;
    let mut user = client.user_data().await;
    client.advance(20_000).await;
    let best = client.get("ticker/bookTicker?symbol=BTCUSDT").await;
    let bid = best["bidPrice"].as_str().unwrap();
    let placed = client
        .order(&format!("side=BUY&{LIMIT}&quantity=9&price={bid}"))
        .await
        .json();
    assert_eq!(placed["executedQty"], "0.00000000");
    client.advance(client::SPAN_MS).await;
    let events = events(&mut user).await;
    let trades: Vec<&Value> = events.iter().filter(|event| event["x"] == "TRADE").collect();
    assert!(!trades.is_empty());
    assert!(
        trades
            .iter()
            .all(|trade| trade["m"] == json!(true) && trade["L"] == placed["price"])
    );
    let total: i64 = trades.iter().map(|trade| number(&trade["l"])).sum();
    assert_eq!(total, number(&trades[trades.len() - 1]["z"]));
    let (base, _) = balance(&client, "BTC").await;
    let fees: i64 = trades.iter().map(|trade| number(&trade["n"])).sum();
    assert_eq!(base, 1_000_000_000 + total - fees);
}

#[tokio::test]
async fn accounts_are_apart_and_do_not_see_each_other() {
    let (_server, client) = start(paused(1)).await;
    let other = client.other();
    client.advance(1_000).await;
    let mine = client
        .order(&format!(
            "side=SELL&{LIMIT}&quantity=1&price=41000&newClientOrderId=same"
        ))
        .await;
    let theirs = other
        .order(&format!(
            "side=SELL&{LIMIT}&quantity=1&price=41000&newClientOrderId=same"
        ))
        .await;
    assert_eq!((mine.status, theirs.status), (200, 200));
    let id = mine.json()["orderId"].as_u64().unwrap();
    let peek = other
        .signed("GET", "order", &format!("symbol=BTCUSDT&orderId={id}"))
        .await;
    assert_eq!((peek.status, peek.code()), (400, -2013));
    let steal = other
        .signed("DELETE", "order", &format!("symbol=BTCUSDT&orderId={id}"))
        .await;
    assert_eq!(steal.code(), -2011);
    let all = client
        .signed("DELETE", "openOrders", "symbol=BTCUSDT")
        .await
        .json();
    assert_eq!(all.as_array().unwrap().len(), 1);
    assert_eq!(
        other
            .signed("GET", "openOrders", "")
            .await
            .json()
            .as_array()
            .unwrap()
            .len(),
        1
    );
    assert_eq!(
        client
            .signed("DELETE", "openOrders", "symbol=BTCUSDT")
            .await
            .code(),
        -2011
    );
    let listed = client.signed("GET", "allOrders", "symbol=BTCUSDT").await.json();
    assert_eq!(
        (listed.as_array().unwrap().len(), &listed[0]["status"]),
        (1, &json!("CANCELED"))
    );
}

#[tokio::test]
async fn own_orders_expire_instead_of_trading_with_each_other() {
    let (_server, client) = start(paused(1)).await;
    let mut user = client.user_data().await;
    client.advance(1_000).await;
    let best = client.get("ticker/bookTicker?symbol=BTCUSDT").await;
    let inside = i64::midpoint(number(&best["bidPrice"]), number(&best["askPrice"])) / 390_625 * 390_625;
    let price = Decimal::from_units(inside);
    let rest = client
        .order(&format!("side=SELL&{LIMIT}&quantity=0.1&price={price}"))
        .await;
    assert_eq!(rest.json()["status"], "NEW");
    let taker = format!("side=BUY&{LIMIT}&quantity=0.1&price={price}&selfTradePreventionMode=EXPIRE_TAKER");
    assert_eq!(client.order(&taker).await.json()["status"], "EXPIRED_IN_MATCH");
    let maker = format!("side=BUY&{LIMIT}&quantity=0.1&price={price}");
    assert_eq!(client.order(&maker).await.json()["status"], "NEW");
    let events = events(&mut user).await;
    let ended: Vec<&str> = events
        .iter()
        .filter(|event| event["x"] == "EXPIRED")
        .map(|event| event["S"].as_str().unwrap())
        .collect();
    assert_eq!(ended, ["BUY", "SELL"]);
    let none = client
        .order(&format!("{maker}&selfTradePreventionMode=NONE"))
        .await;
    assert_eq!(none.code(), -2010);
}

/// Parameters, code, words of the message.
const WRONG_ORDERS: [(&str, i64, &str); 16] = [
    (
        "side=BUY&type=LIMIT&timeInForce=GTC&quantity=1&price=40000.001",
        -1013,
        "Filter failure: PRICE_FILTER",
    ),
    (
        "side=BUY&type=LIMIT&timeInForce=GTC&quantity=0.000001&price=40000",
        -1013,
        "Filter failure: LOT_SIZE",
    ),
    (
        "side=BUY&type=LIMIT&timeInForce=GTC&quantity=0.0001&price=40000",
        -1013,
        "Filter failure: NOTIONAL",
    ),
    (
        "side=BUY&type=LIMIT&timeInForce=GTC&quantity=1&price=7000",
        -1013,
        "Filter failure: PERCENT_PRICE_BY_SIDE",
    ),
    (
        "side=BUY&type=LIMIT&timeInForce=GTC&quantity=1.123456789&price=40000",
        -1111,
        "Precision",
    ),
    (
        "side=BUY&type=LIMIT&timeInForce=GTC&quantity=abc&price=40000",
        -1100,
        "Illegal characters",
    ),
    (
        "side=BUY&type=LIMIT&timeInForce=GTC&quantity=100&price=40000",
        -2010,
        "insufficient balance",
    ),
    ("side=SELL&type=MARKET&quantity=11", -2010, "insufficient balance"),
    ("side=HOLD&type=MARKET&quantity=1", -1117, "Invalid side"),
    ("side=BUY&type=STOP_LOSS&quantity=1", -1116, "Invalid orderType"),
    (
        "side=BUY&type=LIMIT&timeInForce=GTD&quantity=1&price=40000",
        -1115,
        "Invalid timeInForce",
    ),
    ("side=BUY&type=LIMIT&quantity=1&price=40000", -1102, "timeInForce"),
    ("side=BUY&type=LIMIT&timeInForce=GTC&quantity=1", -1102, "price"),
    ("side=BUY&type=MARKET", -1102, "quantity"),
    ("side=BUY&type=MARKET&quoteOrderQty=100", -1106, "quoteOrderQty"),
    (
        "side=BUY&type=MARKET&quantity=1&newClientOrderId=sp%20ace",
        -1100,
        "newClientOrderId",
    ),
];

#[tokio::test]
async fn wrong_orders_have_their_codes() {
    let (_server, client) = start(paused(1)).await;
    client.advance(1_000).await;
    let best = client.get("ticker/bookTicker?symbol=BTCUSDT").await;
    let ask = best["askPrice"].as_str().unwrap();
    for (params, code, words) in WRONG_ORDERS {
        let refused = client.order(params).await;
        assert_eq!(
            (refused.status, refused.code()),
            (400, code),
            "{params}: {}",
            refused.text
        );
        assert!(refused.text.contains(words), "{params}: {}", refused.text);
    }
    let post_only = client
        .order(&format!("side=BUY&type=LIMIT_MAKER&quantity=0.01&price={ask}"))
        .await;
    assert_eq!(post_only.code(), -2010);
    assert!(post_only.text.contains("immediately match and take"));
    let state = client.state().await;
    assert_eq!(state["accounts"][0]["open_orders"], json!([]));
    assert_eq!(balance(&client, "USDT").await, (100_000_000_000_000, 0));
}

#[tokio::test]
async fn signatures_keys_and_times_are_checked() {
    let (_server, client) = start(paused(1)).await;
    client.advance(600_000).await;
    let now = client.server_time().await;
    let ask = |params: String, secret: &'static str| async move {
        let query = format!("{params}&signature={}", sign(secret, &params));
        client
            .request("GET", &format!("/api/v3/account?{query}"), "")
            .await
    };
    assert_eq!(ask(format!("timestamp={now}"), client.secret).await.status, 200);
    assert_eq!(
        ask(format!("timestamp={now}"), "another_secret").await.code(),
        -1022
    );
    // One bar a bar span: venue milliseconds are wall milliseconds.
    assert_eq!(
        ask(format!("timestamp={}&recvWindow=500", now - 500), client.secret)
            .await
            .status,
        200
    );
    assert_eq!(
        ask(format!("timestamp={}&recvWindow=500", now - 501), client.secret)
            .await
            .code(),
        -1021
    );
    assert_eq!(
        ask(format!("timestamp={}", now + 1_001), client.secret)
            .await
            .code(),
        -1021
    );
    assert_eq!(
        ask("recvWindow=500".to_owned(), client.secret).await.code(),
        -1102
    );
    assert_eq!(
        ask(format!("timestamp={now}&recvWindow=60001"), client.secret)
            .await
            .code(),
        -1131
    );
    let unsigned = client
        .request("GET", &format!("/api/v3/account?timestamp={now}"), "")
        .await;
    assert_eq!(unsigned.code(), -1102);
    let stranger = Client {
        key: "key_of_nobody",
        ..client
    };
    let refused = stranger.signed("GET", "account", "").await;
    assert_eq!((refused.status, refused.code()), (401, -2015));
    let nameless = Client { key: "", ..client };
    let refused = nameless.signed("GET", "account", "").await;
    assert_eq!((refused.status, refused.code()), (401, -2014));
    // Parameters may stand in the query, in the body, or in both.
    let (query, body) = (
        "symbol=BTCUSDT&side=BUY&type=MARKET",
        format!("quantity=0.01&timestamp={now}"),
    );
    let signature = sign(client.secret, &format!("{query}{body}"));
    let target = format!("/api/v3/order?{query}");
    let mixed = client
        .request("POST", &target, &format!("{body}&signature={signature}"))
        .await;
    assert_eq!(mixed.status, 200, "{}", mixed.text);
}

#[tokio::test]
async fn compressed_time_does_not_shorten_the_network() {
    let mut config = paused(2);
    // 9,000 venue seconds a wall second.
    config.wall_span = domain::Nanos::from_millis(100);
    let (_server, client) = start(config).await;
    let timestamp = client.server_time().await;
    let params = format!("timestamp={timestamp}&recvWindow=100");
    let query = format!("{params}&signature={}", sign(client.secret, &params));
    // 100 ms of wall time are 900 s of venue time.
    client.advance(900_000).await;
    let target = format!("/api/v3/account?{query}");
    assert_eq!(client.request("GET", &target, "").await.status, 200);
    client.advance(1).await;
    assert_eq!(client.request("GET", &target, "").await.code(), -1021);
}

#[tokio::test]
async fn unknown_outcomes_are_placed_or_not_as_asked() {
    let (_server, client) = start(paused(1)).await;
    client.advance(1_000).await;
    let order = |name: &str| format!("side=BUY&{LIMIT}&quantity=0.1&price=39000&newClientOrderId={name}");
    let unknown = |executed, answer| json!({ "kind": "unknown_outcome", "request": "place", "executed": executed, "answer": answer });
    client.fault(unknown(true, "http503")).await;
    client.fault(unknown(false, "timeout1007")).await;
    let first = client.order(&order("first")).await;
    assert_eq!((first.status, first.text.as_str()), (503, ""));
    let second = client.order(&order("second")).await;
    assert_eq!((second.status, second.code()), (504, -1007));
    let find = |name: &str| format!("symbol=BTCUSDT&origClientOrderId={name}");
    assert_eq!(
        client.signed("GET", "order", &find("first")).await.json()["status"],
        "NEW"
    );
    assert_eq!(client.signed("GET", "order", &find("second")).await.code(), -2013);

    client
        .fault(json!({ "kind": "reject", "request": "place", "code": -2010, "message": "no" }))
        .await;
    assert_eq!(
        client.order(&order("third")).await.json(),
        json!({ "code": -2010, "msg": "no" })
    );
    client
        .fault(json!({ "kind": "rate_limited", "request": "place", "retry_after_s": 7 }))
        .await;
    let limited = client.order(&order("fourth")).await;
    assert_eq!((limited.status, limited.code()), (429, -1003));
    assert!(limited.head.contains("retry-after: 7"), "{}", limited.head);
    let cancel =
        json!({ "kind": "unknown_outcome", "request": "cancel", "executed": true, "answer": "timeout1007" });
    client.fault(cancel).await;
    assert_eq!(
        client.signed("DELETE", "order", &find("first")).await.code(),
        -1007
    );
    assert_eq!(
        client.signed("GET", "order", &find("first")).await.json()["status"],
        "CANCELED"
    );
    client
        .fault(json!({ "kind": "delay", "request": "place", "ms": 20 }))
        .await;
    let begun = std::time::Instant::now();
    assert_eq!(client.order(&order("fifth")).await.status, 200);
    assert!(begun.elapsed() >= std::time::Duration::from_millis(20));
}

#[tokio::test]
async fn too_much_weight_is_refused_until_the_next_minute() {
    let mut config = paused(1);
    config.weight_per_minute = 10;
    let (_server, client) = start(config).await;
    for used in 1..=10 {
        let answer = client.request("GET", "/api/v3/ping", "").await;
        assert_eq!(answer.status, 200);
        assert!(
            answer.head.contains(&format!("x-mbx-used-weight-1m: {used}")),
            "{}",
            answer.head
        );
    }
    let refused = client.request("GET", "/api/v3/ping", "").await;
    assert_eq!((refused.status, refused.code()), (429, -1003));
    assert!(refused.head.contains("retry-after: "));
}

/// Adds key, time and signature as the WebSocket API wants them.
fn signed_params(client: &Client, timestamp: i64, mut params: Value) -> Value {
    let map = params.as_object_mut().unwrap();
    map.insert("apiKey".to_owned(), json!(client.key));
    map.insert("timestamp".to_owned(), json!(timestamp));
    let text = |value: &Value| value.as_str().map_or(value.to_string(), str::to_owned);
    let mut pairs: Vec<String> = map
        .iter()
        .map(|(name, value)| format!("{name}={}", text(value)))
        .collect();
    pairs.sort();
    map.insert(
        "signature".to_owned(),
        json!(sign(client.secret, &pairs.join("&"))),
    );
    params
}

#[tokio::test]
async fn the_socket_api_places_queries_and_cancels() {
    let (_server, client) = start(paused(1)).await;
    client.advance(1_000).await;
    let mut socket = client.user_data().await;
    let now = client.server_time().await;
    let signed = |params: Value| signed_params(&client, now, params);
    let params = json!({
        "symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC",
        "price": "39000", "quantity": "0.1", "newClientOrderId": "e2-s0-9",
    });
    let place = json!({ "id": 1, "method": "order.place", "params": signed(params) });
    let (before, placed) = socket.ask(&place).await;
    assert_eq!(
        (&placed["status"], &placed["result"]["status"]),
        (&json!(200), &json!("NEW"))
    );
    assert_eq!(placed["rateLimits"][0]["rateLimitType"], "REQUEST_WEIGHT");
    let named = json!({ "symbol": "BTCUSDT", "origClientOrderId": "e2-s0-9" });
    let status = json!({ "id": 2, "method": "order.status", "params": signed(named.clone()) });
    let (more, found) = socket.ask(&status).await;
    assert_eq!(found["result"]["orderId"], placed["result"]["orderId"]);
    let cancel = json!({ "id": 3, "method": "order.cancel", "params": signed(named.clone()) });
    let (rest, canceled) = socket.ask(&cancel).await;
    assert_eq!(canceled["result"]["status"], "CANCELED");
    let again = json!({ "id": 4, "method": "order.cancel", "params": signed(named) });
    let (last, refused) = socket.ask(&again).await;
    assert_eq!(
        (&refused["status"], &refused["error"]["code"]),
        (&json!(400), &json!(-2011))
    );
    let seen: Vec<Value> = [before, more, rest, last]
        .concat()
        .into_iter()
        .map(|one| one["event"].clone())
        .collect();
    assert_eq!(kinds(&seen), ["NEW", "CANCELED"]);

    let time = socket.ask(&json!({ "id": "t", "method": "time" })).await.1;
    assert_eq!(time["result"]["serverTime"], OPEN_MS + 1_000);
    let logon = socket
        .ask(&json!({ "id": "l", "method": "session.logon" }))
        .await
        .1;
    assert_eq!(logon["error"]["code"], -4056);
    let depth = json!({ "id": "d", "method": "depth", "params": { "symbol": "BTCUSDT", "limit": 5 } });
    assert_eq!(
        socket.ask(&depth).await.1["result"]["bids"]
            .as_array()
            .unwrap()
            .len(),
        5
    );
    let mut forged = signed(json!({}));
    forged["signature"] = json!("00");
    let subscribe = json!({ "id": "f", "method": "userDataStream.subscribe.signature", "params": forged });
    assert_eq!(socket.ask(&subscribe).await.1["error"]["code"], -1022);
}
