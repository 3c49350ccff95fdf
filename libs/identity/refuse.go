package identity

import (
	"errors"
	"fmt"

	"github.com/gatestay/gatestay/libs/refusal"
)

// ErrIssuerUnavailable is wrapped by the refusal of a token whose issuer could
// not be asked for its keys: not the token's fault, and worth another try.
var ErrIssuerUnavailable = errors.New("identity: issuer unavailable")

// outage is a refusal with the cause that an operator wants to see in a log.
type outage struct {
	refusal *refusal.Refusal
	cause   error
}

func (o *outage) Error() string   { return o.refusal.Error() }
func (o *outage) Unwrap() []error { return []error{o.refusal, ErrIssuerUnavailable, o.cause} }

func unavailable(issuer string, cause error) error {
	return &outage{cause: fmt.Errorf("identity: keys of %s: %w", issuer, cause), refusal: &refusal.Refusal{
		Code:    refusal.TokenIssuer,
		Message: fmt.Sprintf("the keys of the issuer %s could not be read, so the token cannot be verified", issuer),
		Hint:    "try again in a minute; if it stays so, check that the gateway reaches the issuer over HTTPS",
	}}
}

func invalid(why error) error {
	return &refusal.Refusal{
		Code: refusal.TokenInvalid, Message: "the token is not valid: " + why.Error(),
		Hint: "pass the OIDC token exactly as the CI system gave it; 'gatestay token' prints it",
	}
}
