//! `lingate probe modbus` on every transport: one read, who is there, who it says it is.

use std::time::Duration;

use lingate_drivers::modbus::probe::{Answer, Found, ProbeError, Target, advice, blocks, identify, read, unit};
use lingate_plant::rig::{Fault, Framing, Wire};

use crate::bench::{Bench, clock};

fn target(bench: &Bench, unit: u8, timeout: &str) -> Target {
    let mut keys = bench.rig.place();
    keys.push(("timeout".to_owned(), format!("{timeout:?}")));
    Target { driver: bench.rig.wire().kind().to_owned(), keys, unit }
}

#[tokio::test]
async fn a_device_on_any_transport_is_read_and_found_and_says_who_it_is() {
    for wire in Wire::ALL {
        let bench = Bench::start(wire, 2, 40).await;
        let site = bench.site();
        let two = target(&bench, 2, "20s");
        let Answer::Registers(words) = read(&two, "holding:2", 4, site).await.unwrap() else { panic!("{wire:?}") };
        assert_eq!(words.len(), 4);
        assert_eq!(read(&two, "holding:5000", 1, site).await.unwrap(), Answer::Refused(2), "{wire:?}");
        let identity = identify(&two, "holding:0", Duration::from_secs(30), site, clock()).await.unwrap();
        assert_eq!(identity.unwrap().vendor, "lingate", "{wire:?}");
        assert_eq!(unit(&two, "holding:0", site).await.unwrap(), Found::Answers, "{wire:?}");
        // On a line nobody answers for a unit that is not there; a gateway does.
        let absent = unit(&target(&bench, 9, "300ms"), "holding:0", site).await.unwrap();
        let expected = if wire.framing() == Framing::Mbap { Found::NobodyBehindGateway(11) } else { Found::Silent };
        assert_eq!(absent, expected, "{wire:?}");
        let found = blocks(&two, "holding", 0..=99, site, clock()).await.unwrap();
        assert_eq!((found.runs, found.is_cut), (vec![0..=81], false), "{wire:?}");
        bench.assert_only_reads();
    }
}

#[tokio::test]
async fn every_exception_is_told_by_its_own_code_and_silence_by_what_it_may_mean() {
    for wire in [Wire::Tcp(Framing::Mbap), Wire::Udp, Wire::Serial(Framing::Rtu)] {
        let bench = Bench::start(wire, 1, 40).await;
        let hasty = target(&bench, 1, "200ms");
        for code in [1, 2, 3, 4, 5, 6, 8, 10, 11] {
            bench.rig.always(Fault::Exception(code));
            assert_eq!(read(&hasty, "holding:0", 2, bench.site()).await.unwrap(), Answer::Refused(code), "{wire:?}");
        }
        bench.rig.always(Fault::Silence);
        let error = read(&hasty, "holding:0", 2, bench.site()).await.unwrap_err();
        assert!(matches!(error, ProbeError::Link(_)) && !advice(&hasty, &error).is_empty(), "{wire:?}: {error}");
    }
}

/// Nothing listens there, and the host says so.
#[tokio::test]
async fn an_udp_port_on_which_nobody_listens_is_told_as_such() {
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    drop(socket);
    let keys = vec![("address".to_owned(), format!("\"{address}\"")), ("timeout".to_owned(), "\"500ms\"".to_owned())];
    let target = Target { driver: "modbus-udp".to_owned(), keys, unit: 1 };
    let site = lingate_drivers::Site::bare(std::env::temp_dir());
    let error = read(&target, "holding:0", 1, &site).await.unwrap_err();
    assert!(advice(&target, &error).contains("UDP"), "{error}: {}", advice(&target, &error));
}

/// A parity that a pseudo-terminal does not have is told as such, and not as an error of its driver.
#[tokio::test]
async fn a_pseudo_terminal_that_is_asked_for_a_parity_says_what_to_write() {
    let bench = Bench::start(Wire::Serial(Framing::Rtu), 1, 40).await;
    let mut target = target(&bench, 1, "300ms");
    for (key, value) in &mut target.keys {
        if key == "parity" {
            *value = "\"even\"".to_owned();
        }
    }
    match read(&target, "holding:0", 1, bench.site()).await {
        // A kernel that takes the setting and leaves it out.
        Ok(answer) => assert!(matches!(answer, Answer::Registers(_))),
        Err(error) => assert!(error.to_string().contains("a pseudo-terminal has no parity"), "{error}"),
    }
}
