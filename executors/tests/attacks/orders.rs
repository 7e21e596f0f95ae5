//! What is no order, or comes out of turn, has no effect and an answer.

use crate::executor::{Executor, bounds, directory, prepare};
use protocol::action::RefusalReason;
use protocol::executor::{Order, Report, Task, WriteMode};

fn answer(bytes: &[u8]) -> (Option<RefusalReason>, Option<i32>) {
    let mut executor = Executor::start();
    executor.send(bytes);
    let (output, code) = executor.end();
    let reason = (!output.is_empty()).then(|| match serde_json::from_str(&output) {
        Ok(Report::Refused { reason, .. }) => reason,
        other => panic!("{other:?}"),
    });
    (reason, code)
}

#[test]
fn an_input_that_ends_is_no_order_and_hostile_bytes_are_refused() {
    assert_eq!(answer(b""), (None, Some(0)));
    let hostile: &[&[u8]] = &[
        b"\n",
        b"{}\n",
        b"\xff\xfe\n",
        b"{\"order\":\"perform\",\"bounds\":{\"read_only\":true}}\n",
        b"{\"order\":\"prepare\"",
        b"null\n",
        &[b'['; 100_000],
        b"{\"order\":\"prepare\",\"task\":{\"task\":\"file_read\",\"root\":\"/\"},\"preview\":false}\n",
    ];
    for bytes in hostile {
        assert_eq!(answer(bytes), (Some(RefusalReason::Internal), Some(1)), "{:?}", String::from_utf8_lossy(bytes));
    }
}

#[test]
fn nothing_is_written_without_the_second_order_and_both_in_one_breath_are_refused() {
    let (_directory, root) = directory();
    let path = format!("{root}/new");
    let content = protocol::bytes::Bytes(b"text".to_vec());
    let task = Task::FileWrite { root, path: path.clone(), content, mode: WriteMode::Replace };
    let (executor, _) = prepare(&task).unwrap();
    assert_eq!(executor.end(), (String::new(), Some(0)));
    assert!(std::fs::metadata(&path).is_err());
    let orders = [Order::Prepare { task: task.clone(), preview: false }, Order::Perform { bounds: bounds() }];
    let lines: Vec<u8> =
        orders.iter().flat_map(|order| [serde_json::to_vec(order).unwrap(), b"\n".to_vec()].concat()).collect();
    assert_eq!(answer(&lines), (Some(RefusalReason::Internal), Some(1)));
    assert!(std::fs::metadata(&path).is_err());
    prepare(&task).unwrap().0.perform(bounds());
    assert_eq!(std::fs::read(&path).unwrap(), b"text");
}

#[test]
fn a_line_that_does_not_end_is_refused_at_its_bound() {
    let mut executor = Executor::start();
    executor.send(&vec![b' '; protocol::executor::MAX_LINE + (1 << 20)]);
    let Some(Report::Refused { reason, .. }) = executor.report() else { panic!("no refusal") };
    assert_eq!(reason, RefusalReason::Internal);
    assert_eq!(executor.end().1, Some(1));
}
