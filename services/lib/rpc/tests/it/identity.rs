//! Tokens: what is accepted, and every way in which one is refused.

use std::sync::Arc;

use domain::{Channel, Time};
use proto::query::v1::FindStationsRequest;
use proto::query::v1::query_service_client::QueryServiceClient;
use rpc::clock::ManualClock;
use rpc::identity::{Identity, Role, TokenIssuer, TokenVerifier};
use rpc::{Authentication, Failure, Limits, reason};
use tonic::{Code, Request};

use crate::fixture::role_with;

/// 2026-11-22T00:00:00Z.
const NOW: Time = Time::from_millis(1_795_305_600_000);

fn issuer() -> TokenIssuer {
    TokenIssuer::new(&[7; 32], "https://tokens.test", "chunyun")
}

fn verifier(clock: &ManualClock) -> TokenVerifier {
    TokenVerifier::new(&issuer().options(), Arc::new(clock.clone()))
}

fn someone() -> Identity {
    Identity {
        account: "somebody-1".parse().unwrap(),
        roles: vec![Role::Operator],
        channels: vec![Channel::Window, Channel::Agency],
    }
}

#[test]
fn a_token_of_the_issuer_names_its_caller() {
    let clock = ManualClock::at(NOW);
    let token = issuer().issue(&someone(), NOW, 60).unwrap();
    let identity = verifier(&clock).verify(&token).unwrap();
    assert_eq!(identity, someone());
    assert!(identity.has(Role::Operator) && identity.may_use(Channel::Agency) && !identity.may_use(Channel::Online));
}

#[test]
fn an_expired_token_is_refused_even_when_it_was_good_before() {
    let clock = ManualClock::at(NOW);
    let verifier = verifier(&clock);
    let token = issuer().issue(&someone(), NOW, 60).unwrap();
    verifier.verify(&token).unwrap();
    clock.advance_ms(60_000);
    let failure = verifier.verify(&token).unwrap_err();
    assert_eq!((failure.code, failure.reason), (Code::Unauthenticated, reason::TOKEN_EXPIRED));
}

#[test]
fn tokens_of_others_are_refused() {
    let clock = ManualClock::at(NOW);
    let verifier = verifier(&clock);
    let good = issuer().issue(&someone(), NOW, 60).unwrap();
    let (head, rest) = good.split_once('.').unwrap();
    let (claims, signature) = rest.split_once('.').unwrap();
    let other_account = {
        let mut other = someone();
        other.account = "somebody-2".parse().unwrap();
        issuer().issue(&other, NOW, 60).unwrap()
    };
    let other_claims = other_account.split('.').nth(1).unwrap();
    let cases = [
        (
            "another key",
            TokenIssuer::new(&[8; 32], "https://tokens.test", "chunyun").issue(&someone(), NOW, 60).unwrap(),
        ),
        (
            "another issuer",
            TokenIssuer::new(&[7; 32], "https://else.test", "chunyun").issue(&someone(), NOW, 60).unwrap(),
        ),
        (
            "another audience",
            TokenIssuer::new(&[7; 32], "https://tokens.test", "bank").issue(&someone(), NOW, 60).unwrap(),
        ),
        // {"alg":"none","typ":"JWT"}
        ("no algorithm", format!("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{claims}.")),
        ("no algorithm, signed", format!("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{claims}.{signature}")),
        // {"alg":"HS256","typ":"JWT"}: a symmetric signature must never be checked with a public key.
        ("a symmetric algorithm", format!("eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.{claims}.{signature}")),
        ("claims of another token", format!("{head}.{other_claims}.{signature}")),
        ("no signature", format!("{head}.{claims}.")),
        ("from the future", issuer().issue(&someone(), NOW.plus_millis(600_000), 60).unwrap()),
        ("nothing", String::new()),
    ];
    for (name, token) in cases {
        let failure = verifier.verify(&token).unwrap_err();
        assert_eq!((failure.code, failure.reason), (Code::Unauthenticated, reason::TOKEN_INVALID), "{name}");
    }
}

#[tokio::test]
async fn the_stack_lets_nobody_in_without_a_token_but_for_open_methods() {
    let clock = ManualClock::at(NOW);
    let authentication = Authentication {
        verifier: Arc::new(verifier(&clock)),
        open_methods: &["/chunyun.query.v1.QueryService/GetTrain"],
    };
    let role = role_with(Limits::default(), Some(authentication)).await;
    let token = issuer().issue(&someone(), NOW, 60).unwrap();
    for link in role.links() {
        let mut client = QueryServiceClient::new(link);
        client.get_train(proto::query::v1::GetTrainRequest::default()).await.unwrap();
        let mut ask = async |authorization: Option<String>| {
            let mut request = Request::new(FindStationsRequest { text: "account".into(), limit: 0 });
            if let Some(authorization) = authorization {
                request.metadata_mut().insert("authorization", authorization.parse().unwrap());
            }
            client.find_stations(request).await.map(|answer| answer.into_inner().stations[0].name.clone())
        };
        assert_eq!(Failure::from(ask(None).await.unwrap_err()).reason, reason::TOKEN_MISSING);
        let basic = Some("Basic dXNlcjpwYXNz".to_owned());
        assert_eq!(Failure::from(ask(basic).await.unwrap_err()).reason, reason::TOKEN_INVALID);
        assert_eq!(ask(Some(format!("Bearer {token}"))).await.unwrap(), "somebody-1");
    }
}

#[test]
fn secrets_stay_out_of_debug_output() {
    let shown = format!("{:?} {:?}", issuer(), verifier(&ManualClock::at(NOW)));
    assert!(!shown.contains("7, 7") && !shown.contains("BwcH"), "{shown}");
}
