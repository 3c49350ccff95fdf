// Package identity turns an OIDC token into a principal (a job) or a person.
//
// A job's token is verified in this order, cheap checks first, and every
// failure is a *refusal.Refusal:
//
//  1. size (16 KiB), three parts of canonical base64url, strict JSON without
//     duplicate names, an asymmetric algorithm: GS1101
//  2. the issuer, compared byte for byte with those configured: GS1102
//  3. the audience: GS1103
//  4. exp, nbf and iat, with 60 s of leeway at both edges: GS1104
//  5. the signature, by a key of the issuer's published set: GS1101
//  6. the claims that the issuer's preset needs: GS1106
//
// go-oidc does discovery and is the judge of issuer, audience and signature.
// What it is lenient about is checked here first: it leaves five minutes
// before nbf, matches claim names without regard to case, refetches keys for
// every unknown kid, and reads answers without a limit.
//
// An issuer that is down stops neither a start nor, for a day, the jobs whose
// keys are already known. Keys are read anew every hour, so that a withdrawn
// key stops working, and at most every ten seconds for a kid that is unknown.
package identity
