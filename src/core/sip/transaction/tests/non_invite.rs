use super::*;

#[test]
fn a_request_over_udp_is_repeated_by_timer_e_up_to_every_t2_until_timer_f_gives_up() {
    let mut layer = Layer::new();
    layer.send(udp(), ours(Method::Register));
    assert_eq!(
        layer.run(100.0),
        [
            "0.000 > REGISTER",
            "0.500 > REGISTER",
            "1.500 > REGISTER",
            "3.500 > REGISTER",
            "7.500 > REGISTER",
            "11.500 > REGISTER",
            "15.500 > REGISTER",
            "19.500 > REGISTER",
            "23.500 > REGISTER",
            "27.500 > REGISTER",
            "31.500 > REGISTER",
            "32.000 ! Failed Timeout",
        ]
    );
    layer.assert_empty();
}

#[test]
fn a_request_over_a_stream_is_sent_once_and_fails_by_timer_f() {
    let mut layer = Layer::new();
    layer.send(tls(), ours(Method::Register));
    assert_eq!(layer.run(100.0), ["0.000 > REGISTER", "32.000 ! Failed Timeout"]);
    layer.assert_empty();
}

#[test]
fn a_provisional_response_slows_the_repetition_to_t2_but_timer_f_goes_on() {
    let mut layer = Layer::new();
    layer.send(udp(), ours(Method::Bye));
    let bye = layer.sent_request();
    layer.receive(udp(), answer(&bye, 100, "x"));
    assert_eq!(layer.run(9.0), ["0.000 ! 100", "0.500 > BYE", "4.500 > BYE", "8.500 > BYE"]);
    assert_eq!(layer.run(100.0).last().unwrap(), "32.000 ! Failed Timeout");
    layer.assert_empty();
}

#[test]
fn a_final_response_is_told_once_and_repetitions_are_absorbed_until_timer_k() {
    let mut layer = Layer::new();
    layer.send(udp(), ours(Method::Bye));
    let bye = layer.sent_request();
    for code in [200, 200, 481] {
        layer.receive(udp(), answer(&bye, code, "x"));
    }
    assert_eq!(layer.run(4.9), ["0.000 ! 200"]);
    assert_eq!(layer.transactions.len(), 1);
    layer.run(5.0);
    layer.assert_empty();
}

#[test]
fn over_a_stream_a_final_response_ends_the_client_transaction_at_once() {
    let mut layer = Layer::new();
    layer.send(tls(), ours(Method::Options));
    let options = layer.sent_request();
    layer.receive(tls(), answer(&options, 200, "x"));
    assert_eq!(layer.drain(), ["0.000 ! 200"]);
    layer.assert_empty();
}

#[test]
fn a_lost_200_to_bye_is_sent_again_when_the_bye_comes_again_until_timer_j() {
    let mut layer = Layer::new();
    layer.receive(udp(), theirs(Method::Bye, "z9hG4bK1"));
    let (id, request) = layer.request();
    layer.receive(udp(), theirs(Method::Bye, "z9hG4bK1"));
    assert_eq!(layer.drain(), [""; 0], "no answer yet");
    layer.respond(id, &request, 200);
    layer.run(31.9);
    layer.receive(udp(), theirs(Method::Bye, "z9hG4bK1"));
    assert_eq!(layer.drain(), ["31.900 > 200"]);
    assert_eq!(layer.run(32.0), [""; 0]);
    layer.assert_empty();
}

#[test]
fn a_provisional_answer_is_sent_again_and_the_final_one_follows() {
    let mut layer = Layer::new();
    layer.receive(udp(), theirs(Method::Refer, "z9hG4bK1"));
    let (id, request) = layer.request();
    layer.respond(id, &request, 100);
    layer.receive(udp(), theirs(Method::Refer, "z9hG4bK1"));
    layer.respond(id, &request, 202);
    layer.respond(id, &request, 500);
    assert_eq!(layer.drain(), ["0.000 > 100", "0.000 > 100", "0.000 > 202"]);
}

#[test]
fn over_a_stream_the_answer_ends_the_server_transaction_at_once() {
    let mut layer = Layer::new();
    layer.receive(tls(), theirs(Method::Bye, "z9hG4bK1"));
    let (id, request) = layer.request();
    layer.respond(id, &request, 200);
    layer.assert_empty();
}
