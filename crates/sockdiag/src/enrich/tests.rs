//! Which look-ups are made for a row, and which are not.

use super::*;
use crate::model::{Origin, Record, SourceKind, Table};

const LINE: &[u8] =
    b"   0: 0100007F:0016 0200007F:C350 01 00000000:00000000 00:00000000 00000000  1000        0 621";

fn enricher(config: &EnrichConfig<'_>) -> Enricher {
    Enricher::new(config, BpfMaps::default(), None, &Access::here())
}

fn socket(bytes: &[u8]) -> Socket<'_> {
    let origin = Origin::of(Table::Tcp, SourceKind::Proc);
    Socket::decode(Record { origin, bytes }).expect("a whole line")
}

#[test]
fn what_is_not_needed_is_not_looked_up() {
    let sources = Sources::default();
    let mut enricher = enricher(&EnrichConfig { resolve: true, ..EnrichConfig::of(&sources) });
    let socket = socket(LINE);
    enricher.prepare(&socket);
    let names = enricher.row(&socket).names;
    assert!(names.hosts.is_none() && names.local_service.is_none() && names.interface.is_none());
}

#[test]
fn filters_know_the_names_of_ports_whatever_is_shown() {
    let sources = Sources { ip_local_port_range: Some("/nonexistent".into()), ..Sources::default() };
    let known = crate::sys::names::service_name(22, Some(c"tcp"));
    let (needs, tested) = (Needs::SERVICES, Needs::SERVICES);
    let mut enricher = enricher(&EnrichConfig { needs, tested, numeric: true, ..EnrichConfig::of(&sources) });
    let socket = socket(LINE);
    enricher.prepare_names(&socket);
    assert_eq!(enricher.row(&socket).names.local_service, None);
    assert_eq!(enricher.tested_row(&socket).names.local_service, known.as_deref());
}

#[test]
fn ports_have_names_unless_numbers_are_wanted() {
    let sources = Sources { ip_local_port_range: Some("/nonexistent".into()), ..Sources::default() };
    let known = crate::sys::names::service_name(22, Some(c"tcp"));
    for numeric in [false, true] {
        let config = EnrichConfig { needs: Needs::SERVICES, numeric, ..EnrichConfig::of(&sources) };
        let mut enricher = enricher(&config);
        let socket = socket(LINE);
        enricher.prepare(&socket);
        let want = known.as_deref().filter(|_| !numeric);
        assert_eq!(enricher.row(&socket).names.local_service, want);
    }
}
