//! What only SQLite has: a file.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use sekisho::stores::{Directory, DirectorySettings};
use tokio::runtime::Runtime;

use super::{Place, TIMEOUT, at, new_contract};

/// Runs a rule on a file that isn't there yet.
pub(super) fn holds(rule: impl FnOnce(&Runtime, &Place)) {
    let folder = tempfile::tempdir().unwrap();
    let place = Place(DirectorySettings::Sqlite(folder.path().join("data/sekisho.db")));
    rule(&Runtime::new().unwrap(), &place);
}

#[test]
fn the_file_is_its_owners_alone_and_so_is_the_folder_made_for_it() {
    holds(|runtime, place| {
        let directory = runtime.block_on(place.open());
        runtime.block_on(directory.add_contract(&new_contract("A"), at(0))).unwrap();
        let DirectorySettings::Sqlite(path) = &place.0 else { unreachable!() };
        let folder = path.parent().unwrap();
        assert_eq!(fs::metadata(folder).unwrap().permissions().mode() & 0o777, 0o700);
        let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(Result::unwrap).collect();
        files.sort_by_key(fs::DirEntry::file_name);
        let names: Vec<_> = files.iter().map(|file| file.file_name().into_string().unwrap()).collect();
        assert_eq!(names, ["sekisho.db", "sekisho.db-shm", "sekisho.db-wal"]);
        for file in files {
            assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{file:?}");
        }
    });
}

#[test]
fn a_path_is_taken_as_it_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = Runtime::new().unwrap();
    for name in ["a b", "%41", "q?mode=memory", "#1", "名簿", ":memory:"] {
        let path = folder.path().join("there/../there").join(name);
        fs::create_dir_all(folder.path().join("there")).unwrap();
        let settings = DirectorySettings::Sqlite(path.clone());
        runtime.block_on(async { Directory::open(&settings, TIMEOUT).await.unwrap().close().await });
        assert!(fs::metadata(&path).unwrap().len() > 0, "{name}");
    }
}

#[test]
fn what_is_no_directory_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = Runtime::new().unwrap();
    let refusal = |path| {
        runtime
            .block_on(Directory::open(&DirectorySettings::Sqlite(path), TIMEOUT))
            .map(drop)
            .unwrap_err()
            .problem
    };
    let file = folder.path().join("text");
    fs::write(&file, "no database at all, but a text that is long enough to be one".repeat(100)).unwrap();
    assert_eq!(refusal(file.clone()), "file is not a database");
    assert_eq!(
        refusal(file.join("sekisho.db")),
        format!("{}: File exists (os error 17)", file.join("sekisho.db").display())
    );
}
