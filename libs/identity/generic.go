package identity

import eventv1 "github.com/gatestay/gatestay/schemas/event/v1"

// generic knows the subject only; rules match on further claims by name.
func generic(issuer string, c Claims) (*eventv1.Principal, error) {
	return newMapping(c).principal(&eventv1.Principal{Issuer: issuer, Preset: "generic"})
}
