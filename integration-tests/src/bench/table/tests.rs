use super::table;

#[test]
fn columns_are_as_wide_as_their_widest_cell() {
    let rows = [["plain", "–"], ["Lua", "10.4 µs"]].map(|row| row.map(str::to_owned).to_vec());
    let expected = "\
| variant |   added |
| ------- | ------: |
| plain   |       – |
| Lua     | 10.4 µs |
";
    assert_eq!(table(&["variant", "added"], &rows), expected);
}
