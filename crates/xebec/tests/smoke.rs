//! A first look.
use std::time::Duration;
use xebec::*;
#[test]
fn hello() {
    let context = Context::new();
    for ep in ["tcp://127.0.0.1:*", "ipc://*", "inproc://x"] {
        let server = Rep::new(&context).unwrap();
        let endpoint = server.bind(ep).unwrap();
        let client = Req::new(&context).unwrap();
        client.connect(&endpoint).unwrap();
        for _ in 0..10 {
            client.send("Hello").unwrap();
            assert_eq!(
                server
                    .recv_timeout(Duration::from_secs(5))
                    .unwrap()
                    .to_string_lossy(),
                "Hello"
            );
            server.send("World").unwrap();
            assert_eq!(
                client
                    .recv_timeout(Duration::from_secs(5))
                    .unwrap()
                    .to_string_lossy(),
                "World"
            );
        }
        eprintln!("{ep} fine");
    }
}
