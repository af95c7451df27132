//! Who sends a private request: key, signature, nonce; and the tokens of the sockets.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256, Sha512};

use super::error::Failure;
use crate::account::Account;

/// How long a token may be used for the first time.
pub(crate) const TOKEN_LIFE: Duration = Duration::from_mins(15);
/// Tokens that may be open at a time; the oldest go first.
const TOKENS_MAX: usize = 1_024;

/// Nonces and tokens of all accounts.
#[derive(Debug, Default)]
pub(crate) struct Desk {
    /// Each key counts for itself.
    nonces: HashMap<String, u64>,
    tokens: Vec<(String, usize, Instant)>,
    issued: u64,
}

/// A private request as it was sent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Signed<'a> {
    pub(crate) key: Option<&'a str>,
    pub(crate) signature: Option<&'a str>,
    pub(crate) path: &'a str,
    pub(crate) nonce: Option<&'a str>,
    pub(crate) body: &'a str,
}

impl Desk {
    /// The account that a request speaks for; its nonce is used up.
    pub(crate) fn authorize(&mut self, accounts: &[Account], request: &Signed<'_>) -> Result<usize, Failure> {
        let key = request.key.unwrap_or_default();
        let (account, key) = Account::find(accounts, key).ok_or_else(|| Failure::text("EAPI:Invalid key"))?;
        let nonce = request.nonce.unwrap_or_default();
        let number: u64 = nonce.parse().map_err(|_| Failure::text("EAPI:Invalid nonce"))?;
        let invalid = || Failure::text("EAPI:Invalid signature");
        let sent = BASE64
            .decode(request.signature.unwrap_or_default())
            .map_err(|_| invalid())?;
        let secret = BASE64.decode(&key.secret).map_err(|_| invalid())?;
        let mut mac = Hmac::<Sha512>::new_from_slice(&secret).map_err(|_| invalid())?;
        mac.update(request.path.as_bytes());
        mac.update(&Sha256::digest(format!("{nonce}{}", request.body)));
        // Compares in constant time.
        mac.verify_slice(&sent).map_err(|_| invalid())?;
        let last = self.nonces.entry(key.key.clone()).or_default();
        if number <= *last {
            return Err(Failure::text("EAPI:Invalid nonce"));
        }
        *last = number;
        Ok(account)
    }

    /// A new token of an account.
    pub(crate) fn issue(&mut self, account: usize, accounts: &[Account]) -> String {
        self.issued += 1;
        let seed = format!("{}:{}:{account}", accounts[account].key.secret, self.issued);
        let token = BASE64.encode(Sha256::digest(seed));
        if self.tokens.len() >= TOKENS_MAX {
            self.tokens.remove(0);
        }
        self.tokens.push((token.clone(), account, Instant::now()));
        token
    }

    /// The account of a token. One that a connection uses stays good for that connection.
    pub(crate) fn account_of(&self, token: &str) -> Option<usize> {
        let known = self.tokens.iter().find(|(known, ..)| known == token);
        known
            .filter(|(.., issued)| issued.elapsed() < TOKEN_LIFE)
            .map(|(_, account, _)| *account)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::ApiKey;

    /// The example of the venue's documentation for signed requests.
    const SECRET: &str =
        "kQH5HW/8p1uGOVjbgWA7FunAmGO8lsSUXNsu3eow76sz84Q18fWxnyRzBHCd3pd5nE9qa99HAZtuZuj6F1huXg==";
    const BODY: &str = "nonce=1616492376594&ordertype=limit&pair=XBTUSD&price=37500&type=buy&volume=1.25";
    const SIGNATURE: &str =
        "4/dpxb3iT4tp/ZCVEwSnEsLxx0bqyhLpdfOpc6fn7OR8+UClSV5n9E6aSS8MPtnRfp32bAb0nmbRn6H8ndwLUQ==";

    #[test]
    fn the_documented_example_is_accepted_once() {
        let accounts = [Account::new(ApiKey::new("key_of_alpha", SECRET), &[], 0)];
        let mut desk = Desk::default();
        let good = Signed {
            key: Some("key_of_alpha"),
            signature: Some(SIGNATURE),
            path: "/0/private/AddOrder",
            nonce: Some("1616492376594"),
            body: BODY,
        };
        let mut refused = |request| desk.authorize(&accounts, &request).unwrap_err();
        assert_eq!(
            refused(Signed { key: None, ..good }),
            Failure::text("EAPI:Invalid key")
        );
        let tampered = BODY.replace("1.25", "125");
        assert_eq!(
            refused(Signed {
                body: &tampered,
                ..good
            }),
            Failure::text("EAPI:Invalid signature")
        );
        assert_eq!(
            refused(Signed {
                signature: None,
                ..good
            }),
            Failure::text("EAPI:Invalid signature")
        );
        assert_eq!(desk.authorize(&accounts, &good), Ok(0));
        assert_eq!(
            desk.authorize(&accounts, &good),
            Err(Failure::text("EAPI:Invalid nonce"))
        );
        let token = desk.issue(0, &accounts);
        assert_eq!(
            (desk.account_of(&token), desk.account_of("other")),
            (Some(0), None)
        );
    }
}
