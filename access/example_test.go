package access_test

import (
	"fmt"

	"github.com/rudderpost/rudderpost/access"
	"github.com/rudderpost/rudderpost/mgr"
	"github.com/rudderpost/rudderpost/transport"
)

func ExampleNewPolicy() {
	policy, err := access.NewPolicy(access.Options{Principals: []access.Principal{
		{Subject: "cert:ops.example", Role: "operator"},
		{Subject: "anonymous:monitor", Role: "monitor"},
	}})
	if err != nil {
		fmt.Println(err)
		return
	}
	_ = mgr.New(&mgr.Options{Authorizer: policy})

	_, err = access.NewPolicy(access.Options{Principals: []access.Principal{{Subject: "uid:ann", Role: "admin"}}})
	fmt.Println(err)
	// Output:
	// principal 1, "uid:ann": after "uid:" there must be the number of a user, such as uid:1000
}

func ExampleRole() {
	policy, err := access.NewPolicy(access.Options{
		Roles: []access.Role{{
			Name:  "dns",
			Allow: []string{"read", "zone-*"},
			Deny:  []string{"zone-flush"},
			Arguments: []access.ArgumentRule{
				{Commands: []string{"zone-*"}, Pointer: "/zone", Values: []any{"example", "example.net"}},
			},
		}},
		Principals: []access.Principal{{Subject: "gid:27", Role: "dns"}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(policy.Roles())
	// Output:
	// [monitor operator admin dns]
}

func ExamplePolicy_Explain() {
	policy, err := access.NewPolicy(access.Options{Principals: []access.Principal{{Subject: "cert:ops.example", Role: "operator"}}})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(policy.Explain(&mgr.Call{
		Name:    "zone-add",
		Command: &mgr.Command{Name: "zone-add", Level: mgr.Write},
		Peer:    transport.Peer{Creds: []transport.Credential{certificate("ops.example")}},
	}).Rule)
	// Output:
	// principal "cert:ops.example" has the role "operator", which allows "write"
}

// A certificate is the credential of a transport: the name in a certificate.
type certificate string

func (c certificate) Subject() string { return "cert:" + string(c) }
