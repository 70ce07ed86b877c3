//! Clients without our files: reflection in both versions.

use futures::StreamExt;
use rpc::Limits;
use tonic_reflection::pb::{v1, v1alpha};

use crate::fixture::role;

const OWN: [&str; 3] = ["chunyun.gateway.v1.OperatorService", "chunyun.query.v1.QueryService", "grpc.health.v1.Health"];

#[tokio::test]
async fn the_services_of_the_component_are_listed_in_version_1() {
    use v1::server_reflection_client::ServerReflectionClient;
    use v1::server_reflection_request::MessageRequest;
    use v1::server_reflection_response::MessageResponse;
    let role = role(Limits::default()).await;
    let list = v1::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let find = v1::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::FileContainingSymbol("chunyun.query.v1.QueryService".into())),
    };
    let mut client = ServerReflectionClient::new(role.network());
    let requests = futures::stream::iter([list, find]);
    let answers = client.server_reflection_info(requests).await.unwrap().into_inner();
    let answers: Vec<_> = answers.map(|answer| answer.unwrap().message_response.unwrap()).collect().await;
    let MessageResponse::ListServicesResponse(list) = &answers[0] else { panic!("{answers:?}") };
    let mut names: Vec<_> = list.service.iter().map(|service| service.name.as_str()).collect();
    names.retain(|name| !name.starts_with("grpc.reflection"));
    names.sort_unstable();
    assert_eq!(names, OWN);
    assert!(
        matches!(&answers[1], MessageResponse::FileDescriptorResponse(files) if !files.file_descriptor_proto.is_empty())
    );
}

#[tokio::test]
async fn older_clients_ask_for_version_1alpha() {
    use v1alpha::server_reflection_client::ServerReflectionClient;
    use v1alpha::server_reflection_request::MessageRequest;
    use v1alpha::server_reflection_response::MessageResponse;
    let role = role(Limits::default()).await;
    let list = v1alpha::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut client = ServerReflectionClient::new(role.network());
    let mut answers = client.server_reflection_info(futures::stream::iter([list])).await.unwrap().into_inner();
    let answer = answers.message().await.unwrap().unwrap().message_response.unwrap();
    let MessageResponse::ListServicesResponse(list) = answer else { panic!("{answer:?}") };
    let names: Vec<_> = list.service.iter().map(|service| service.name.as_str()).collect();
    assert!(OWN.iter().all(|own| names.contains(own)), "{names:?}");
}
