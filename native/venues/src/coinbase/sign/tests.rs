use ed25519_dalek::pkcs8::EncodePrivateKey as _;
use p256::ecdsa::signature::Verifier as _;
use p256::pkcs8::LineEnding;
use serde_json::Value;

use super::super::settings::Endpoints;
use super::*;

const KEY_NAME: &str = "organizations/0f/apiKeys/1e";

/// A P-256 key of the tests alone, in the venue's form (SEC 1).
pub(in crate::coinbase) fn ec_pem() -> String {
    let key = p256::SecretKey::from_slice(&[7; 32]).unwrap();
    let pem = key.to_sec1_pem(LineEnding::LF).unwrap();
    pem.trim().to_owned()
}

fn secret(text: &str) -> Secret {
    Secret::new(text.to_owned()).unwrap()
}

pub(in crate::coinbase) fn credentials(private_key: &str) -> Credentials {
    let private_key = private_key.to_owned();
    let is_pem = private_key.starts_with("-----");
    let private_key = if is_pem {
        Secret::pem(private_key)
    } else {
        Secret::new(private_key)
    };
    Credentials::new(secret(KEY_NAME), private_key.unwrap())
}

fn signer(private_key: &str) -> Result<TokenSigner, VenueError> {
    TokenSigner::new(&credentials(private_key), &Settings::new(Endpoints::production()))
}

fn now() -> Timestamp {
    Timestamp::from_millis(1_786_309_548_999)
}

/// Header, claims, what was signed and the signature.
fn parts(token: &Token) -> (Value, Value, String, Vec<u8>) {
    let (signed, signature) = token.as_str().rsplit_once('.').unwrap();
    let (header, claims) = signed.split_once('.').unwrap();
    let read = |part: &str| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap();
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    (read(header), read(claims), signed.to_owned(), signature)
}

fn verifies_es256(signed: &str, signature: &[u8]) -> bool {
    let key: p256::ecdsa::SigningKey = p256::SecretKey::from_slice(&[7; 32]).unwrap().into();
    let signature = p256::ecdsa::Signature::from_slice(signature).unwrap();
    key.verifying_key().verify(signed.as_bytes(), &signature).is_ok()
}

#[test]
fn a_token_names_the_key_and_the_request_and_its_signature_verifies() {
    let signer = signer(&ec_pem()).unwrap();
    let token = signer
        .for_request("POST", "/api/v3/brokerage/orders", now())
        .unwrap();
    let (header, claims, signed, signature) = parts(&token);
    assert_eq!(header["alg"], "ES256");
    assert_eq!(header["kid"], KEY_NAME);
    assert_eq!(header["typ"], "JWT");
    assert_eq!(header["nonce"].as_str().unwrap().len(), 2 * NONCE_BYTES);
    assert_eq!(claims["sub"], KEY_NAME);
    assert_eq!(claims["iss"], "cdp");
    assert_eq!(claims["nbf"], 1_786_309_548);
    assert_eq!(claims["exp"], 1_786_309_548 + 120);
    assert_eq!(claims["uri"], "POST api.coinbase.com/api/v3/brokerage/orders");
    assert_eq!(claims.as_object().unwrap().len(), 5);
    assert!(verifies_es256(&signed, &signature));
    assert!(!verifies_es256(&signed.replace('.', "-"), &signature));
}

#[test]
fn a_token_for_a_stream_names_no_request_and_no_two_are_alike() {
    let signer = signer(&ec_pem().replace('\n', "\\n")).unwrap();
    let [first, second] = [(); 2].map(|()| signer.for_stream(now()).unwrap());
    let (header, claims, signed, signature) = parts(&first);
    assert!(claims.get("uri").is_none() && claims.get("uris").is_none());
    assert!(verifies_es256(&signed, &signature));
    assert_ne!(header["nonce"], parts(&second).0["nonce"]);
}

#[test]
fn the_newer_kind_of_key_signs_too() {
    let key = ed25519_dalek::SigningKey::from_bytes(&[7; 32]);
    let both = STANDARD.encode(key.to_keypair_bytes());
    for text in [both, STANDARD.encode(key.to_bytes())] {
        let token = signer(&text).unwrap().for_request("GET", "/p", now()).unwrap();
        let (header, claims, signed, signature) = parts(&token);
        assert_eq!(header["alg"], "EdDSA");
        assert_eq!(claims["uris"][0], "GET api.coinbase.com/p");
        assert!(claims.get("uri").is_none());
        let signature = ed25519_dalek::Signature::from_slice(&signature).unwrap();
        assert!(key.verifying_key().verify(signed.as_bytes(), &signature).is_ok());
    }
}

#[test]
fn what_is_no_key_is_refused_without_a_word_of_it() {
    let key = ed25519_dalek::SigningKey::from_bytes(&[7; 32]);
    let mut torn = key.to_keypair_bytes();
    torn[40] ^= 1;
    let pkcs8 = key.to_pkcs8_pem(LineEnding::LF).unwrap();
    let cut = ec_pem().replace("MHc", "MHd");
    for text in ["c2hvcnQ=", "not-base64", &STANDARD.encode(torn), &pkcs8, &cut] {
        let error = signer(text).unwrap_err();
        let said = format!("{error} {error:?}");
        assert!(matches!(
            error,
            VenueError::Setting {
                setting: "private_key",
                ..
            }
        ));
        assert!(!said.contains(text) && !said.contains("MHd"), "{said}");
    }
}

#[test]
fn nothing_secret_is_printed() {
    let signer = signer(&ec_pem()).unwrap();
    let token = signer.for_stream(now()).unwrap();
    let exchange = ExchangeCredentials::new(secret("k3y"), secret("c2VjcmV0"), secret("phr4se"));
    let text = format!(
        "{signer:?} {token:?} {:?} {exchange:?} {:?}",
        credentials(&ec_pem()),
        ExchangeSigner::new(&exchange).unwrap()
    );
    for word in ["BEGIN", KEY_NAME, "k3y", "c2VjcmV0", "phr4se", token.as_str()] {
        assert!(!text.contains(word), "{text}");
    }
}

#[test]
fn exchange_headers_sign_time_method_path_and_body() {
    // The signature by `openssl dgst -sha256 -mac HMAC` over the same text with the decoded secret.
    let credentials = ExchangeCredentials::new(
        secret("key"),
        secret("c2VjcmV0LW9mLXRoZS10ZXN0cw=="),
        secret("pass"),
    );
    let signer = ExchangeSigner::new(&credentials).unwrap();
    let body = br#"{"side":"buy","size":"0.01"}"#;
    let headers = signer.headers(now(), "POST", "/orders?x=1", body);
    assert_eq!(
        headers.map(|(name, value)| format!("{name}: {value}")),
        [
            "CB-ACCESS-KEY: key",
            "CB-ACCESS-SIGN: T1b9hocwLIyZNv27DFECjkuMuFlljr1Z+er6vxKTWOk=",
            "CB-ACCESS-TIMESTAMP: 1786309548",
            "CB-ACCESS-PASSPHRASE: pass",
        ]
    );
    let bad = ExchangeCredentials::new(secret("key"), secret("*"), secret("pass"));
    assert!(ExchangeSigner::new(&bad).is_err());
}
