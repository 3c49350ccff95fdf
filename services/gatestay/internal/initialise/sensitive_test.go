package initialise

import (
	"testing"
)

func TestNamesThatGiveAway(t *testing.T) {
	text := func(name string) *column { return &column{name: name, category: "S", base: "text"} }
	number := func(name string) *column { return &column{name: name, category: "N", base: "int8"} }
	for _, tc := range []struct {
		table  string
		column *column
		what   string // empty: harmless
	}{
		{"customers", text("email"), "an e-mail address"},
		{"customers", text("E-Mail"), "an e-mail address"},
		{"customers", text("billingEmailAddress"), "an e-mail address"},
		{"t", text("contact_mail_address"), "an e-mail address"},
		{"t", text("customerPhoneNo"), "a phone number"},
		{"t", number("mobile"), "a phone number"},
		{"t", text("password_digest"), "a password or its hash"},
		{"t", text("APIKey"), "a secret"},
		{"t", text("refresh_token"), "a secret"},
		{"t", text("firstName"), "a person's name"},
		{"users", text("name"), "a person's name"},
		{"products", text("name"), ""},
		{"t", number("national_id"), "an official number of a person"},
		{"t", text("cvv"), "a card's check number"},
		{"t", text("card_number"), "a payment card's number"},
		{"t", text("iban"), "a bank account"},
		{"t", &column{name: "dob", category: "D", base: "date"}, "a date of birth"},
		{"t", text("zip_code"), "a postal address"},
		{"t", &column{name: "client_ip", category: "I", base: "inet"}, "a network address"},
		{"t", number("salary"), "pay"},
		{"t", &column{name: "session_token", category: "U", base: "uuid"}, "a secret"},
		{"t", &column{name: "email_verified", category: "B", base: "bool"}, ""},
		{"t", &column{name: "email_verified_at", category: "D", base: "timestamptz"}, ""},
		{"t", number("email_id"), ""},
		{"t", number("address_id"), ""},
		{"t", number("token_count"), ""},
		{"t", text("phone_country"), ""},
		{"t", text("description"), ""},
		{"t", text("panel"), ""},
		{"t", text("ship"), ""},
		{"t", text("password_reset_sent_at"), ""},
		{"t", number("email"), ""},
	} {
		k, ok := byName(&table{name: tc.table}, tc.column)
		if ok != (tc.what != "") || k.what != tc.what {
			t.Errorf("%s.%s: %q", tc.table, tc.column.name, k.what)
		}
	}
}

func TestTextFromTheCatalogCannotEscapeItsLine(t *testing.T) {
	for in, want := range map[string]string{
		"plain_name":  "plain_name",
		"on":          `"on"`,
		"a: b":        `"a: b"`,
		"a\n- b":      `"a\n- b"`,
		"\x1b[31mred": `"\u001b[31mred"`,
		"x # y":       `"x # y"`,
		`a."B c".d`:   `'a."B c".d'`,
		`a."b: 'c"`:   `"a.\"b: 'c\""`,
		"\u202eevil":  `"\u202eevil"`,
	} {
		if got, err := quote(in); err != nil || got != want {
			t.Errorf("quote(%q) = %s, %v", in, got, err)
		}
	}
	if got := comment("a\nb\x1b[31m\u202e"); got != "a?b?[31m?" {
		t.Errorf("comment: %q", got)
	}
}
