//! What `show` prints can be used instead of what it was given.

use phantom_token_cli::check::check;
use phantom_token_cli::show::show;
use phantom_token_cli::source::Source;

/// If this failed, Envoy would get another configuration than the operator wrote: it takes JSON text alone, and docs/servers.md
/// has `show` turn the YAML of each chapter into it.
#[test]
fn r273_the_shown_form_of_each_block_for_a_server_is_a_configuration_with_the_same_meaning()
-> Result<(), Box<dyn std::error::Error>> {
    let page = include_str!("../../docs/servers.md");
    let blocks = page.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next());
    let mut shown_blocks = 0;
    for block in blocks {
        let shown = shown(block)?;
        let report = check(&Source::new("shown.json", shown.clone()), None, false);
        assert_eq!(report.findings, [], "{block}");
        assert_eq!(self::shown(&shown)?, shown, "{block}");
        shown_blocks += 1;
    }
    assert!(shown_blocks > 20, "hardly a block was found: {shown_blocks}");
    Ok(())
}

fn shown(text: &str) -> Result<String, Box<dyn std::error::Error>> {
    let source = Source::new("block.yaml", text.to_owned());
    let configurations = source.configurations().map_err(|unreadable| unreadable.message)?;
    let (shown, errors) = show(configurations.first().ok_or("no configuration")?)?;
    assert_eq!(errors, 0, "{text}");
    Ok(shown)
}
