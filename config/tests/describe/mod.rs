//! A plan in words, for snapshots.

use std::fmt::Write;

use lingate_config::{KeyPlace, Plan};
use lingate_drivers::settings::{show_duration, show_size};
use lingate_refine::PointPlan;

pub(crate) fn describe(plan: &Plan) -> String {
    let mut text = String::new();
    let (sandbox, buffer) = (&plan.sandbox, &plan.buffer);
    let mut line = |words: String| writeln!(text, "{words}").unwrap();
    line(format!("gateway {} of {} in {}", plan.gateway, plan.tenant, plan.state_dir.display()));
    for broker in &sandbox.brokers {
        line(format!("broker {} port {}", broker.host, broker.port));
    }
    line(format!("ca {} certificate {}", sandbox.ca.display(), sandbox.certificate.display()));
    if let Some(crl) = &sandbox.crl {
        line(format!("crl {}", crl.display()));
    }
    let key = match &sandbox.key {
        KeyPlace::File(credential) => format!("{credential:?}"),
        KeyPlace::Token(token) => format!("{token:?}"),
    };
    line(format!("key {key} root {} ack {:?}", sandbox.root_sha256, sandbox.ack));
    if let Some(token) = &sandbox.signing_key {
        line(format!("signing key {token:?}"));
    }
    let suites: Vec<String> = sandbox.suites.iter().map(|suite| format!("0x{suite:04x}")).collect();
    if suites != ["0x0001"] {
        line(format!("suites {}", suites.join(" ")));
    }
    let (size, commit) = (show_size(buffer.settings.max_bytes), show_duration(buffer.commit));
    line(format!("buffer {size} {:?} commit {commit}", buffer.settings.overflow));
    line(format!("health {:?}", plan.health));
    for dataset in &plan.export.datasets {
        let (age, readings) = (show_duration(dataset.flush.age), dataset.flush.readings);
        line(format!("dataset {} for {} up to {}", dataset.id, dataset.purpose, dataset.ceiling));
        line(format!("  flush {readings} {age} priority {} padding {}", dataset.priority.name(), dataset.padding));
        if let Some(quota) = plan.quotas.get(&dataset.id) {
            line(format!("  quota {:?} records {:?} bytes a day", quota.records, quota.bytes));
        }
    }
    for device in &plan.devices {
        line(format!(
            "device {} {} at {} equipment {}",
            device.name,
            device.kind,
            device.device.address(),
            device.equipment
        ));
    }
    for point in &plan.export.points {
        line(self::point(plan, point));
    }
    text
}

fn point(plan: &Plan, point: &PointPlan) -> String {
    let mut text = format!("point {} {} {:?}", point.id.0, point.name, point.builtin_type);
    let every = show_duration(point.interval);
    write!(text, " places {:?} every {every} from {}", point.places, point.source).unwrap();
    if let Some(unit) = &point.unit {
        write!(text, " in {unit}").unwrap();
    }
    if let Some((low, high)) = point.range {
        write!(text, " range {low} to {high}").unwrap();
    }
    let Some(export) = &point.export else { return text + " stays" };
    let dataset = &plan.export.datasets[export.dataset.index()].id;
    write!(text, " to {dataset} as {}", export.alias).unwrap();
    export.class.iter().for_each(|class| write!(text, " class {class}").unwrap());
    if let Some(lowered) = &export.lowered {
        write!(text, " lowered from {} by {:?}: {}", lowered.from, lowered.by, lowered.reason).unwrap();
    }
    export.context.iter().for_each(|kind| write!(text, " context {}", kind.name()).unwrap());
    for step in &export.steps {
        write!(text, " {:?}", step.id()).unwrap();
        for (name, value) in step.parameters() {
            write!(text, " {name} {value}").unwrap();
        }
    }
    text
}
