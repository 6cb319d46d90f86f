//! The keyboards: the software keyboard by mouse and by keys, and everything without a mouse.

use super::{SIGN_OUT, SUBMIT, assert_banking, stage};
use crate::support::chrome::Window;
use crate::support::demo::{CONTRACT, WWW};

const OPENER: &str = "[data-keyboard=pin]";
const PANEL: &str = "#pin-keyboard";
const KEYS: &str = "[...document.querySelectorAll('#pin-keyboard .key')]";

/// The order of the keys that are one character.
fn layout(window: &Window<'_>) -> String {
    let characters =
        format!("{KEYS}.map((key) => key.textContent).filter((text) => text.length === 1).join('')");
    window.evaluate(&characters).as_str().unwrap().to_owned()
}

/// Marks the key with this label, so that a selector finds it.
fn key(window: &Window<'_>, label: &str) -> String {
    let mark =
        format!("{KEYS}.forEach((key) => key.toggleAttribute('data-wanted', key.textContent === '{label}'))");
    window.evaluate(&mark);
    format!("{PANEL} [data-wanted]")
}

#[test]
fn the_software_keyboard_types_by_mouse_and_is_shuffled_anew_each_time() {
    let (demo, chrome) = stage();
    let window = chrome.window("ja");
    window.open_url(&demo.url(WWW, "/banking/"));
    window.click(OPENER);
    let layouts: Vec<String> = (0..3)
        .map(|_| {
            let layout = layout(&window);
            window.click(&key(&window, "閉じる"));
            assert!(!window.has(PANEL) && window.focused() == "ソフトウェアキーボード");
            window.click(OPENER);
            layout
        })
        .collect();
    // 10! · 26! orders: two alike are no accident.
    assert!(layouts[0] != layouts[1] && layouts[1] != layouts[2] && layouts[0] != layouts[2], "{layouts:?}");
    for layout in &layouts {
        let mut sorted: Vec<char> = layout.chars().collect();
        sorted.sort_unstable();
        assert_eq!(sorted.iter().collect::<String>(), "0123456789abcdefghijklmnopqrstuvwxyz");
    }
    // Capitals, deleting, clearing.
    for label in ["a", "大文字", "B", "7", "1文字消す"] {
        window.click(&key(&window, label));
    }
    assert_eq!((window.value_of("#pin").as_str(), layout(&window).len()), ("aB", 36));
    assert_eq!(window.text_of(&format!("{PANEL} [role=status]")), "入力済みの文字数：2");
    window.click(&key(&window, "クリア"));
    assert_eq!(window.value_of("#pin"), "");
    window.click(&key(&window, "大文字"));
    let pin = demo.pin("ito");
    for character in pin.chars() {
        if character.is_ascii_uppercase() {
            window.click(&key(&window, "大文字"));
        }
        window.click(&key(&window, &character.to_string()));
        if character.is_ascii_uppercase() {
            window.click(&key(&window, "大文字"));
        }
    }
    assert_eq!(window.value_of("#pin"), pin);
    window.fill("#contract", CONTRACT);
    window.fill("#user", "ito");
    window.follow(SUBMIT);
    assert_banking(&window, "ito", "pin");
}

#[test]
fn the_software_keyboard_works_by_keys_and_takes_no_more_than_fits() {
    let (demo, chrome) = stage();
    let window = chrome.window("ja");
    window.open_url(&demo.url(WWW, "/sekisho/sign-in"));
    window.tab_to(OPENER);
    window.press("Enter");
    assert!(window.shows(PANEL));
    let first: Vec<char> = layout(&window).chars().collect();
    assert_eq!(window.focused(), first[0].to_string(), "the keyboard goes to the first key");
    window.press("Enter");
    window.press("ArrowRight");
    window.press(" ");
    window.press("ArrowLeft");
    window.press(" ");
    let typed: String = [first[0], first[1], first[0]].iter().collect();
    assert_eq!(window.value_of("#pin"), typed);
    // Down and up again; from end to end.
    window.press("ArrowDown");
    assert_ne!(window.focused(), first[0].to_string());
    window.press("ArrowUp");
    assert_eq!(window.focused(), first[0].to_string());
    window.press("End");
    assert_eq!(window.focused(), "閉じる");
    window.press("Home");
    for _ in 0..20 {
        window.press(" ");
    }
    assert_eq!(window.value_of("#pin").len(), 12, "no more than a PIN can have");
    // One stop for Tab, and out again.
    window.press("Tab");
    assert_eq!(
        window.evaluate(&format!("document.querySelector('{PANEL}').contains(document.activeElement)")),
        false
    );
    window.press_shifted("Tab");
    window.press("Escape");
    assert!(!window.has(PANEL) && window.focused() == "ソフトウェアキーボード");
}

#[test]
fn everything_can_be_done_without_a_mouse() {
    let (demo, chrome) = stage();
    let window = chrome.window("ja");
    window.open_url(&demo.url(WWW, "/"));
    window.press("Tab");
    assert_eq!(window.focused(), "本文へ進む", "the first stop leads past the header");
    window.press("Enter");
    window.until("document.activeElement.id === 'main'");
    for (field, text) in [("#contract", CONTRACT), ("#user", "ito"), ("#pin", "wrong1")] {
        window.tab_to(field);
        window.type_text(text);
    }
    window.leaving(|| window.press("Enter"));
    assert!(window.shows("#error"));
    window.tab_to("#error a");
    window.press("Enter");
    window.until("document.activeElement.id === 'contract'");
    window.tab_to("#pin");
    window.type_text(&demo.pin("ito"));
    window.tab_to(SUBMIT);
    window.leaving(|| window.press("Enter"));
    assert_eq!(window.path(), "/sekisho/home");
    window.tab_to("a[href='/banking']");
    window.leaving(|| window.press("Enter"));
    assert_banking(&window, "ito", "pin");
    window.back();
    window.tab_to(".preferences [value=en]");
    window.leaving(|| window.press(" "));
    assert_eq!(window.title(), "Home | Mihon Bank");
    window.tab_to("a[href='/sekisho/pin']");
    window.leaving(|| window.press("Enter"));
    for (field, text) in
        [("#present", demo.pin("ito").as_str()), ("#new", "Kaede2026"), ("#again", "Kaede2026")]
    {
        window.tab_to(field);
        window.type_text(text);
    }
    window.leaving(|| window.press("Enter"));
    assert_eq!(window.text_of("[role=status]"), "Your PIN has been changed.");
    window.tab_to(SIGN_OUT);
    window.leaving(|| window.press("Enter"));
    assert_eq!(window.text_of("h1"), "You have signed out");
}
