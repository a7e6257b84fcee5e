package access_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/rudderpost/rudderpost/access"
	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/transport"
)

// The parts of random policies and calls. They are few, so that rules often match.
var (
	someCommands = []mgr.Command{
		{Name: "a", Level: mgr.Read}, {Name: "a-a", Level: mgr.Write}, {Name: "a-b", Level: mgr.Admin}, {Name: "b", Level: mgr.Admin},
		{Name: "b-a", Level: mgr.Read}, {Name: "b-b", Level: mgr.Write}, {Name: "a-b-a", Level: mgr.Write}, {Name: "aa", Level: mgr.Read},
	}
	someNames    = []string{"c", "b-c", "A", "a-", "ab", "a/b"}
	someRules    = []string{"read", "write", "admin", "a", "b", "a-b", "a*", "*a", "a-*", "*-b", "*", "a*a", "*-*", "c*"}
	somePatterns = someRules[3:]
	someValues   = []any{"x", "y", int64(1), 1.5, true}
	somePaths    = []string{"/a", "/b", "/a/0", ""}
	someRoles    = []string{"r1", "r2", "r3", "monitor", "operator", "admin"}
	someText     = []string{``, `{}`, `{"a":"x"}`, `{"a":"y","b":1}`, `{"a":["x"],"b":1.5}`, `{"\u0061":"\u0078","b":true}`, `"x"`, `[1]`, `{"a":1.0}`, `{"a":"1"}`}
	someSubjects = []string{"uid:1", "gid:2", "cert:a", "user:a", "token:a", "socket-group", "self", "uid:9"}
)

func pick[T any](r *rand.Rand, from []T) T { return from[r.IntN(len(from))] }

func some[T any](r *rand.Rand, from []T, n int) (all []T) {
	for range r.IntN(n + 1) {
		all = append(all, pick(r, from))
	}
	return all
}

// slowPolicy decides by the definition: refused if a role denies the command, else allowed if a role allows it.
func slowPolicy(o access.Options, call *mgr.Call) bool {
	all := append([]access.Role{
		{Name: "monitor", Allow: []string{"read"}}, {Name: "operator", Allow: []string{"read", "write"}}, {Name: "admin", Allow: []string{"read", "write", "admin"}},
	}, o.Roles...)
	denied, allowed := false, false
	for _, cred := range call.Peer.Creds {
		for _, p := range o.Principals {
			for _, role := range all {
				if p.Subject == cred.Subject() && p.Role == role.Name {
					denied = denied || slowMatches(role.Deny, call)
					allowed = allowed || slowMatches(role.Allow, call) && slowRules(role.Arguments, call)
				}
			}
		}
	}
	return allowed && !denied
}

func slowMatches(rules []string, call *mgr.Call) bool {
	return slices.ContainsFunc(rules, func(rule string) bool {
		switch rule {
		case "read":
			return call.Command == nil || call.Command.Level == mgr.Read
		case "write":
			return call.Command != nil && call.Command.Level == mgr.Write
		case "admin":
			return call.Command != nil && call.Command.Level == mgr.Admin
		}
		return call.Name != "A" && call.Name != "a/b" && slowMatch(rule, call.Name)
	})
}

func slowRules(rules []access.ArgumentRule, call *mgr.Call) bool {
	if call.Listing {
		return true
	}
	for _, rule := range rules {
		if !slowMatches(rule.Commands, call) {
			continue
		}
		path, _ := access.ParsePointer(rule.Pointer)
		value := slowFind(jsontext.Value(call.Arguments), path)
		if !slices.ContainsFunc(rule.Values, func(want any) bool { return slowlySame(want, value) }) {
			return false
		}
	}
	return true
}

// Authorize and Explain decide random calls with random policies as slowPolicy does.
func TestRandomPoliciesDecideAsDefined(t *testing.T) {
	seed := rand.Uint64()
	t.Log("seed", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for range 300 {
		o := access.Options{NoOwner: true}
		for _, name := range someRoles[:3] {
			role := access.Role{Name: name, Allow: some(r, someRules, 3), Deny: some(r, someRules, 1)}
			if len(role.Allow) == 0 {
				role.Allow = []string{"a"}
			}
			for range r.IntN(3) {
				role.Arguments = append(role.Arguments, access.ArgumentRule{
					Commands: []string{pick(r, somePatterns)}, Pointer: pick(r, somePaths), Values: append(some(r, someValues, 2), pick(r, someValues)),
				})
			}
			o.Roles = append(o.Roles, role)
		}
		for _, subject := range someSubjects[:len(someSubjects)-1] {
			if r.IntN(3) > 0 {
				o.Principals = append(o.Principals, access.Principal{Subject: subject, Role: pick(r, someRoles)})
			}
		}
		p := policy(t, o)
		for range 100 {
			call := &mgr.Call{Name: pick(r, someNames), Listing: r.IntN(5) == 0, Peer: transport.Peer{Creds: subjects(some(r, someSubjects, 3)...)}}
			if r.IntN(4) > 0 {
				command := pick(r, someCommands)
				call.Name, call.Command = command.Name, &command
			}
			if text := pick(r, someText); text != "" {
				call.Arguments = []byte(text)
			}
			requireDecision(t, slowPolicy(o, call), p, call)
			if t.Failed() {
				text, _ := json.Marshal(o.Roles)
				t.Fatalf("%s\n%v\n%s %s for %s, listing %v", text, o.Principals, call.Name, call.Arguments, call.Peer, call.Listing)
			}
		}
	}
}

func requireDecision(t *testing.T, want bool, p *access.Policy, call *mgr.Call) {
	t.Helper()
	d := p.Explain(call)
	if err := p.Authorize(call); want != (err == nil) || d.Allowed != want || d.Rule == "" {
		t.Errorf("want %v; authorize: %v; explain: %+v", want, err, d)
	}
}
