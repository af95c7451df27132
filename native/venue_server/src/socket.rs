//! What every WebSocket of the venue does: send what is queued, answer, ping, and close on misuse.

use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket, close_code};
use futures_util::SinkExt;
use tokio::sync::mpsc::Receiver;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep_until, timeout};

use crate::frames::{Frame, Queued};

/// The venue pings this often ...
const PING_INTERVAL: Duration = Duration::from_secs(20);
/// ... and closes a connection that has not answered for this long.
const PONG_TIMEOUT: Duration = Duration::from_mins(1);
/// A reader that takes nothing for this long is gone.
const SEND_TIMEOUT: Duration = Duration::from_secs(10);

/// Runs a connection until either side ends it; `on_text` takes each text message and may answer it. What was queued
/// before the answer was made goes out before it.
pub(crate) async fn run<F, R>(
    mut socket: WebSocket,
    mut queue: Receiver<Queued>,
    mut stop: watch::Receiver<bool>,
    messages_per_second: Option<u32>,
    mut on_text: F,
) where
    F: FnMut(String) -> R,
    R: Future<Output = Option<String>>,
{
    let mut ping = interval_at(Instant::now() + PING_INTERVAL, PING_INTERVAL);
    ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut heard = Instant::now();
    let mut budget = MessageBudget::new(messages_per_second);
    loop {
        tokio::select! {
            // What is queued goes first: a farewell reaches the client though nothing more is read from it.
            biased;
            queued = queue.recv() => match queued {
                Some(first) => if !send_queued(&mut socket, Some(first), &mut queue).await { return },
                // Dropped by the hub: without a word.
                None => return,
            },
            incoming = socket.recv() => {
                let Some(Ok(message)) = incoming else { return };
                heard = Instant::now();
                if !budget.allows(heard) {
                    close(&mut socket, "Too many requests").await;
                    return;
                }
                if let Message::Text(text) = message {
                    let reply = on_text(text.to_string()).await;
                    if !send_queued(&mut socket, None, &mut queue).await { return }
                    if let Some(reply) = reply
                        && !send(&mut socket, Message::Text(reply.into())).await
                    {
                        return;
                    }
                }
            }
            _ = ping.tick() => {
                if heard.elapsed() > PONG_TIMEOUT || !send(&mut socket, Message::Ping("ping".into())).await {
                    return;
                }
            }
            _ = stop.changed() => {
                // What was published before the end still arrives.
                if !send_queued(&mut socket, None, &mut queue).await { return }
                close(&mut socket, "Server is shutting down").await;
                return;
            }
        }
    }
}

/// How many messages a second a connection may send; pings, pongs and requests count alike.
struct MessageBudget {
    limit: Option<u32>,
    second: Instant,
    used: u32,
}

impl MessageBudget {
    fn new(limit: Option<u32>) -> Self {
        Self {
            limit,
            second: Instant::now(),
            used: 0,
        }
    }

    fn allows(&mut self, now: Instant) -> bool {
        if now.duration_since(self.second) >= Duration::from_secs(1) {
            self.second = now;
            self.used = 0;
        }
        self.used += 1;
        self.limit.is_none_or(|limit| self.used <= limit)
    }
}

async fn send(socket: &mut WebSocket, message: Message) -> bool {
    matches!(timeout(SEND_TIMEOUT, socket.send(message)).await, Ok(Ok(())))
}

/// Sends a message, if there is one, and all that already wait behind it, in one flush where none of them is late;
/// false once the connection has ended.
async fn send_queued(socket: &mut WebSocket, first: Option<Queued>, queue: &mut Receiver<Queued>) -> bool {
    let mut next = first.or_else(|| queue.try_recv().ok());
    while let Some(queued) = next {
        if let Some(until) = queued.not_before {
            if !matches!(timeout(SEND_TIMEOUT, socket.flush()).await, Ok(Ok(()))) {
                return false;
            }
            sleep_until(until.into()).await;
        }
        let (message, ends) = match queued.frame {
            Frame::Text(text) => (Message::Text(text), false),
            Frame::Binary(bytes) => (Message::Binary(bytes), false),
            Frame::Close { code, reason } => {
                let reason = reason.into();
                (Message::Close(Some(CloseFrame { code, reason })), true)
            }
        };
        let fed = timeout(SEND_TIMEOUT, socket.feed(message)).await;
        if ends || !matches!(fed, Ok(Ok(()))) {
            // The connection ends either way.
            let _ = timeout(SEND_TIMEOUT, socket.flush()).await;
            return false;
        }
        next = queue.try_recv().ok();
    }
    matches!(timeout(SEND_TIMEOUT, socket.flush()).await, Ok(Ok(())))
}

async fn close(socket: &mut WebSocket, reason: &'static str) {
    let frame = CloseFrame {
        code: close_code::POLICY,
        reason: reason.into(),
    };
    // The connection ends either way.
    let _ = send(socket, Message::Close(Some(frame))).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_messages_a_second_and_no_more() {
        let mut budget = MessageBudget::new(Some(5));
        let start = budget.second;
        assert!((0..5).all(|_| budget.allows(start)));
        assert!(!budget.allows(start + Duration::from_millis(999)));
        assert!(budget.allows(start + Duration::from_secs(1)));
    }
}
