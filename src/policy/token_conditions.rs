//! The conditions that a rule sets for a token, as the configuration has them.

use serde_json::Value;

use super::condition::{
    AcrValues, AnyScopes, Audience, ClaimCondition, ClaimConditions, Condition, MaxAge, Scopes, Test,
};
use crate::fields::{
    BoundedDuration, ConfigErrors, FieldPath, NonEmptyList, SECOND, YEAR, ensure, is_pointer, keywords,
    section, texts,
};

section! {
    /// Requirements for a token, all of which it must meet.
    #[derive(Default, PartialEq)]
    pub(crate) struct TokenConditions {
        /// `aud` must contain one of these, in addition to what `token.audience` requires.
        audience: NonEmptyList<String>,
        /// The JWT's `scope` must contain all of these.
        scopes: Vec<String>,
        /// And one of these. Put the one that allows the least first: challenges name it alone, so that clients ask for no more.
        scopes_any_of: NonEmptyList<String>,
        /// Conditions on other claims: `{pointer: /department, one_of: [sales]}`, `{pointer: /realm_access/roles, contains:
        /// admin}` or `{pointer: /sub, present: true}`.
        claims: Vec<RuleClaim>,
        /// How the user must have authenticated: `acr` must be one of these.
        acr_values: NonEmptyList<String>,
        /// Maximum time since the user authenticated, by `auth_time`.
        max_age: BoundedDuration<SECOND, YEAR>,
    }

    /// A condition on a claim: exactly one of `present`, `one_of` and `contains`.
    #[derive(PartialEq)]
    pub(crate) struct RuleClaim {
        /// JSON Pointer to the claim.
        pointer: ConditionPointer = required,
        /// `true`: the claim must be present.
        present: bool,
        /// The claim must be one of these, or a list that contains one of these.
        one_of: Vec<Value>,
        /// The claim must be this, or a list that contains this.
        contains: Value,
        /// The separator if the server writes a list as one string, as in `admin,staff`: `comma` or `space`. By default such a
        /// string is one value.
        separated_by: Separator,
    }
}

/// `rules[].claims[].separated_by`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Separator {
    Comma,
    Space,
}

keywords! {
    Separator { Comma = "comma" or Space = "space" }
}

texts! {
    /// A JSON Pointer to a claim that a rule tests.
    ConditionPointer = |text| {
        ensure(is_pointer(text), "must be a JSON Pointer (RFC 6901), like /department, to no registered date")
    },
}

impl TokenConditions {
    /// The conditions of one of several alternatives. It is an error if there are none: then the other alternatives would not matter.
    pub(crate) fn alternative(self, at: FieldPath<'_>, errors: &mut ConfigErrors) -> Vec<Condition> {
        let before = errors.iter().count();
        let conditions = self.conditions(at, errors);
        if conditions.is_empty() && errors.iter().count() == before {
            errors.note(at, "must require something: every token meets it");
        }
        conditions
    }

    /// The conditions, in the order in which they are checked. An empty list in the configuration requires nothing.
    pub(crate) fn conditions(self, at: FieldPath<'_>, errors: &mut ConfigErrors) -> Vec<Condition> {
        let Self { audience, scopes, scopes_any_of, claims, acr_values, max_age } = self;
        let scopes = scopes.filter(|scopes| !scopes.is_empty());
        let claims = claims.filter(|claims| !claims.is_empty());
        let claims = claims.map(|claims| claim_conditions(at.field("claims"), claims, errors));
        let mut checked = |field, condition: Option<Result<Condition, &'static str>>| {
            condition.and_then(|condition| errors.check(at.field(field), condition))
        };
        let conditions = [
            checked("audience", audience.map(|audience| Ok(Audience(audience).into()))),
            checked("scopes", scopes.map(|scopes| Scopes::new(scopes).map(Into::into))),
            checked("scopes_any_of", scopes_any_of.map(|scopes| AnyScopes::new(scopes).map(Into::into))),
            checked("claims", claims.map(|claims| Ok(claims.into()))),
            checked("acr_values", acr_values.map(|values| AcrValues::new(values).map(Into::into))),
            checked("max_age", max_age.map(|max_age| Ok(MaxAge(max_age).into()))),
        ];
        conditions.into_iter().flatten().collect()
    }
}

fn claim_conditions(at: FieldPath<'_>, claims: Vec<RuleClaim>, errors: &mut ConfigErrors) -> ClaimConditions {
    let claims = claims.into_iter().enumerate();
    ClaimConditions(claims.filter_map(|(index, claim)| claim.condition(at.element(index), errors)).collect())
}

impl RuleClaim {
    /// The condition: a pointer, and exactly one test of the claim.
    fn condition(self, at: FieldPath<'_>, errors: &mut ConfigErrors) -> Option<ClaimCondition> {
        if self.present == Some(false) {
            errors.note(at.field("present"), "must be true");
        }
        if self.one_of.as_ref().is_some_and(Vec::is_empty) {
            errors.note(at.field("one_of"), "must not be empty");
        }
        if self.contains.as_ref().is_some_and(Value::is_array) {
            errors.note(at.field("contains"), "must be one value: use one_of for alternatives");
        }
        if self.present.is_some() && self.separated_by.is_some() {
            errors.note(at.field("separated_by"), "must be left out with present");
        }
        let separator = self.separated_by.map(|separator| match separator {
            Separator::Comma => ',',
            Separator::Space => ' ',
        });
        let tests = [
            self.present.map(|_| Test::Present),
            self.one_of.map(Test::OneOf),
            self.contains.map(|value| Test::OneOf(vec![value])),
        ];
        let mut tests = tests.into_iter().flatten();
        let (Some(test), None) = (tests.next(), tests.next()) else {
            let message = "needs exactly one of present, one_of and contains beside it";
            errors.note(at.field("pointer"), message);
            return None;
        };
        Some(ClaimCondition { pointer: self.pointer, test, separator })
    }
}
