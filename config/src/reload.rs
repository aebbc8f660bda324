use lingate_drivers::settings::{Problem, Table};

use crate::ReloadPlan;

pub(crate) fn read(root: &mut Table<'_>, problems: &mut Vec<Problem>) -> Option<ReloadPlan> {
    let default = ReloadPlan { last_good: false };
    if !root.has("reload") {
        let _ = root.take("reload").table();
        return Some(default);
    }
    let mut table = root.take("reload").table()?;
    let is_present = table.has("last_good");
    let last_good = table.take("last_good").boolean().or((!is_present).then_some(default.last_good));
    problems.extend(table.finish());
    Some(ReloadPlan { last_good: last_good? })
}
