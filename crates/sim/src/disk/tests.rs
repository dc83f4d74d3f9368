use super::*;
use crate::Rng;
use std::collections::BTreeSet;

fn names(image: &Image) -> BTreeSet<String> {
    image.list(Dir::Log).into_iter().map(|(name, _)| name).collect()
}

#[test]
fn folder_entries_need_their_own_sync() {
    let disk = SimDisk::new(false);
    let mut f = disk.create(Dir::Log, "a").unwrap();
    f.write_all(b"x").unwrap();
    f.sync_data().unwrap();
    assert!(names(&disk.image().power_cut(&mut Rng::new(1), false)).is_empty());
    disk.sync_dir(Dir::Log).unwrap();
    let after = disk.image().power_cut(&mut Rng::new(1), false);
    assert_eq!(after.read(Dir::Log, "a"), Some(&b"x"[..]));
    assert!(!disk.image().is_dirty());
}

#[test]
fn unsynced_folder_changes_survive_in_many_ways() {
    let disk = SimDisk::new(true);
    for name in ["a", "b"] {
        disk.create(Dir::Log, name).unwrap();
    }
    disk.sync_dir(Dir::Snapshot).unwrap();
    disk.remove(Dir::Log, "a").unwrap();
    disk.rename(Dir::Log, "b", "c").unwrap();
    let image = disk.image();
    let seen: BTreeSet<_> = (0..100).map(|s| names(&image.power_cut(&mut Rng::new(s), true))).collect();
    let set = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(seen, [set(&["a", "b"]), set(&["a", "c"]), set(&["b"]), set(&["c"])].into());
}

#[test]
fn faults_strike_the_call_they_are_meant_for() {
    let disk = SimDisk::new(false);
    let mut f = disk.create(Dir::Log, "a").unwrap();
    disk.fail_call(2, Fault::ShortWrite);
    disk.fail_call(3, Fault::Stall(50));
    disk.fail_call(4, Fault::Eio);
    assert_eq!(f.write_all(b"abcd").unwrap_err().raw_os_error(), Some(ENOSPC));
    f.write_all(b"c").unwrap();
    assert_eq!(disk.clock_ms(), 50);
    assert_eq!(f.sync_data().unwrap_err().raw_os_error(), Some(EIO));
    assert_eq!(disk.image().read(Dir::Log, "a"), Some(&b"abc"[..]));
    disk.fail_call(5, Fault::Full);
    assert!(f.write_all(b"de").is_err());
    assert!(disk.create(Dir::Log, "b").is_err());
    disk.heal();
    f.write_all(b"e").unwrap();
    disk.fail_call(8, Fault::SyncDropsPages);
    assert!(f.sync_data().is_err());
    f.sync_data().unwrap();
    disk.sync_dir(Dir::Log).unwrap();
    let after = disk.image().power_cut(&mut Rng::new(0), true);
    assert_eq!(after.read(Dir::Log, "a"), Some(&[0, 0, 0, 0, 0][..]), "the failed sync lost the pages");
    assert_eq!((disk.calls(), disk.counts()[&CallKind::SyncData]), (10, 3));
}

#[test]
fn observers_see_the_disk_before_the_call_and_ignored_syncs_do_nothing() {
    let disk = SimDisk::new(false);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let sink = seen.clone();
    disk.observe(move |call, image| sink.lock().unwrap().push((call.kind, image.list(Dir::Log).len())));
    disk.ignore_syncs(|call| call.kind == CallKind::SyncDir && call.phase == "later");
    disk.create(Dir::Log, "a").unwrap();
    disk.set_phase("later");
    disk.sync_dir(Dir::Log).unwrap();
    assert!(disk.image().is_dirty());
    assert_eq!(*seen.lock().unwrap(), [(CallKind::Create, 0), (CallKind::SyncDir, 1)]);
}
