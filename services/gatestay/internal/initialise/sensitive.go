package initialise

import (
	"regexp"
	"strings"
	"unicode"

	"github.com/gatestay/gatestay/libs/masking"
)

// kind is something that a column's name gives away.
type kind struct {
	what     string // as the comment says it: "its name says …"
	name     *regexp.Regexp
	tables   *regexp.Regexp // only in tables of such a name; nil: in all
	strategy masking.Strategy
	// numbers reports that numbers, dates and other types count, too; they
	// become NULL under any strategy.
	numbers bool
}

func words(alternatives string) *regexp.Regexp { return regexp.MustCompile(`_(` + alternatives + `)_`) }

// personTables are tables of which the rows are persons.
var personTables = words(`customers?|clients?|users?|persons?|people|members?|employees?|staff|patients?|contacts?|subscribers?|guests?|students?|leads?|accounts?|profiles?|kunden?|mitarbeiter`)

// kinds are tried in this order; names are compared as _snake_case_.
var kinds = []kind{
	{what: "a password or its hash", name: words(`password|passwd|pwd|passphrase|pass_?hash|passcode|pin_code|password_?(hash|digest)|encrypted_password|passwort`), strategy: masking.Redact},
	{what: "a secret", name: words(`secret|client_secret|api_?keys?|access_?key|secret_?key|private_?key|auth_?key|token|access_token|refresh_token|auth_token|api_token|session_token|id_token|credentials?|otp(_secret)?|totp(_secret)?|mfa_secret|recovery_codes?|backup_codes?|webhook_secret|signing_key`), strategy: masking.Redact},
	{what: "an e-mail address", name: words(`e_?mail|emailaddress|mail_address`), strategy: masking.Partial},
	{what: "a card's check number", name: words(`cvv2?|cvc2?|card_security_code`), strategy: masking.Redact, numbers: true},
	{what: "a payment card's number", name: words(`card_?(number|no|num)|cc_?(number|no|num)|credit_?card|pan`), strategy: masking.Partial, numbers: true},
	{what: "a bank account", name: words(`iban|bban|bank_account|account_?(number|no)|routing_number|sort_code|kontonummer`), strategy: masking.Partial, numbers: true},
	{what: "an official number of a person", name: words(`ssn|social_security(_number)?|national_id|tax_?(id|number)|tin|passport(_no|_number)?|driv(er|ers|ing)_licen[cs]e(_number)?|identity_number|personal_?(id|number)|nino|steuer_?id|sozialversicherungsnummer`), strategy: masking.Redact, numbers: true},
	{what: "a phone number", name: words(`phone|phone_?(number|no)|mobile|mobile_?(number|no)|cell_?phone|telephone|tel|fax|msisdn|telefon|handy`), strategy: masking.Partial, numbers: true},
	{what: "a date of birth", name: words(`birth_?date|date_of_birth|dob|birthday|born(_on|_at)?|geburtsdatum`), strategy: masking.Redact, numbers: true},
	{what: "a person's name", name: words(`first_?name|last_?name|full_?name|given_?name|family_?name|middle_?name|maiden_?name|sur_?name|fore_?name|legal_name|cardholder(_name)?|vorname|nachname`), strategy: masking.Partial},
	{what: "a person's name", name: regexp.MustCompile(`^_(name|display_name)_$`), tables: personTables, strategy: masking.Partial},
	{what: "a network address", name: words(`ip|ip_?addr(ess)?|remote_addr(ess)?|client_ip|last_login_ip|mac_address`), strategy: masking.Redact, numbers: true},
	{what: "a postal address", name: words(`address|street|street_address|address_?(line)?_?[123]?|addr|postal_?code|post_?code|zip|zip_?code|house_number|strasse|plz`), strategy: masking.Redact},
	{what: "pay", name: words(`salary|wages?|income|compensation|gehalt`), strategy: masking.Redact, numbers: true},
	{what: "health", name: words(`diagnos(is|es)|medical_\w*|blood_(type|group)|medications?|allergies|disability|health_\w*`), strategy: masking.Redact, numbers: true},
	{what: "a protected trait", name: words(`religion|ethnicity|race|sexual_orientation|political_\w*|union_member(ship)?|nationality`), strategy: masking.Redact},
	{what: "a person's place", name: words(`latitude|longitude|gps|geo_?(location|point)`), strategy: masking.Redact, numbers: true},
}

// harmless ends a name that speaks about the thing, and is not it:
// email_verified_at, phone_country, token_count.
var harmless = regexp.MustCompile(`_(verified|confirmed|validated|enabled|required|allowed|expires?|expiry|expired|count|type|kind|status|state|source|version|format|length|limit|sent|at|on|by|used|uses|attempts|reset|country|preference|preferences|opt_(in|out)|(ref|fk))_$`)

// identifying are names that end like a reference and still are the thing.
var identifying = words(`national_id|tax_id|personal_id|steuer_id`)

// byName returns what a column's name gives away, and the mask for it.
func byName(t *table, c *column) (kind, bool) {
	name := snake(c.name)
	if c.category == "B" || harmless.MatchString(name) && !strings.HasSuffix(name, "_born_on_") && !strings.HasSuffix(name, "_born_at_") {
		return kind{}, false
	}
	if strings.HasSuffix(name, "_id_") && !identifying.MatchString(name) {
		return kind{}, false // a reference
	}
	for _, k := range kinds {
		switch {
		case !k.name.MatchString(name):
		case !k.numbers && !c.text() && c.base != "uuid":
		case k.tables != nil && !k.tables.MatchString(snake(t.name)):
		default:
			return k, true
		}
	}
	return kind{}, false
}

var commentWords = regexp.MustCompile(`(?i)\b(pii|personal data|personally identif\w*|sensitive|confidential|gdpr|dsgvo|secret|do not (show|share|expose))\b`)

// byComment reports a comment that calls the column sensitive.
func byComment(c *column) bool { return commentWords.MatchString(c.comment) }

// snake returns a name as _snake_case_: firstName and FIRST-NAME are
// _first_name_.
func snake(name string) string {
	var b strings.Builder
	b.WriteByte('_')
	runes := []rune(name)
	for i, r := range runes {
		switch {
		case unicode.IsUpper(r):
			if i > 0 && (unicode.IsLower(runes[i-1]) || unicode.IsDigit(runes[i-1]) || i+1 < len(runes) && unicode.IsUpper(runes[i-1]) && unicode.IsLower(runes[i+1])) {
				b.WriteByte('_')
			}
			b.WriteRune(unicode.ToLower(r))
		case unicode.IsLetter(r) || unicode.IsDigit(r):
			b.WriteRune(r)
		default:
			b.WriteByte('_')
		}
	}
	b.WriteByte('_')
	return b.String()
}
