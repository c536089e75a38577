use super::*;

/// If this failed, the page would attribute costs to the wrong part of the filter.
#[test]
fn r266_functions_belong_to_the_parts_that_their_names_say() {
    for (name, expected) in [
        ("_ZN18phantom_token_core4http4path9normalize17h35ede6133f6cd199E #7", "HTTP: paths, fields, forms"),
        ("_ZN18phantom_token_core6policy5rules5Rules4find17h4d8bd08c791b4032E #8", "rules"),
        (
            "_ZN18phantom_token_core10token_info9TokenInfo3new17h87ea04907e696b60E #9",
            "engine, checks, refusals",
        ),
        (
            "_ZN81_$LT$phantom_token..stream..Stream$u20$as$u20$proxy_wasm..traits..HttpContext$GT$23on_http #1",
            "adapter, and the engine's part in it",
        ),
        (
            "_ZN73_$LT$phantom_token_core..token_key..TokenKey$u20$as$u20$core..cmp..Ord$GT$3cmp17h0E #2",
            "credentials and the key of a token",
        ),
        ("dlmalloc #3", "memory: allocation, copies, comparisons"),
        ("_RNvNtNtCsdHhIpgkcIfN_4core3str8converts9from_utf8 #4", OTHERS),
    ] {
        assert_eq!(part(name), expected, "{name}");
    }
}
