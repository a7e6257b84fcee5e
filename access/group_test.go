package access_test

import (
	"testing"

	"github.com/rudderpost/rudderpost/access"

	"github.com/stretchr/testify/require"
)

// A member is a user of the system with its groups.
type member struct {
	subject
	groups []uint32
	in     bool // in the group of the socket
}

func (m member) GroupIDs() []uint32  { return m.groups }
func (m member) InSocketGroup() bool { return m.in }

func TestGroupsGiveTheirMembersRoles(t *testing.T) {
	ann := member{"uid:1000", []uint32{1000, 27, 65534}, false}
	bob := member{"uid:1001", []uint32{1001}, true}
	eve := member{"uid:65534", []uint32{65534}, false}

	p := policy(t, access.Options{})
	require.Equal(t, nothing, allowed(p, ann))
	require.Equal(t, reads, allowed(p, bob), "members of the socket's group may read")
	require.Equal(t, nothing, allowed(p, eve))
	require.Equal(t, allOfThem, allowed(p, member{"uid:0", nil, false}))

	p = policy(t, access.Options{NoOwner: true})
	require.Equal(t, nothing, allowed(p, bob))

	p = policy(t, access.Options{Principals: []access.Principal{
		{Subject: "gid:27", Role: "operator"}, {Subject: "gid:1001", Role: "admin"}, {Subject: "socket-group", Role: "operator"},
	}})
	require.Equal(t, writes, allowed(p, ann))
	require.Equal(t, allOfThem, allowed(p, bob))
	require.Equal(t, writes, allowed(p, member{"uid:7", []uint32{7}, true}), "a principal replaces a default")
	require.Equal(t, nothing, allowed(p, member{"uid:7", []uint32{270, 2, 7}, false}))
	require.Equal(t, nothing, allowed(p, eve))
	require.Equal(t, nothing, allowed(p, subject("uid:27")))

	p = policy(t, access.Options{
		Roles:      []access.Role{{Name: "no-write", Deny: []string{"write"}}},
		Principals: []access.Principal{{Subject: "uid:1000", Role: "admin"}, {Subject: "gid:27", Role: "no-write"}},
	})
	require.Equal(t, "look end ?", allowed(p, ann), "the role of a group can also deny")
}
