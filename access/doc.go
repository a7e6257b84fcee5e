// Package access says who may do what: a [Policy] is the mgr.Authorizer of a daemon that has other
// clients than its own user.
//
// A client has credentials, which its transport has proven. A [Principal] gives one of them a role;
// a user's and a token's role stands in their file (package secrets). A [Role] is a list of what it
// allows and denies: levels of access, commands, and globs of commands; and rules on their arguments.
// Three are built in:
//
//	monitor    read
//	operator   read, write
//	admin      read, write, admin
//
// What no role of a client allows is refused, and what one of them denies too, whatever the others allow.
// Without a word the daemon's own user, root and the daemon itself are admin, members of the group of a
// UNIX socket are monitors, and everybody else is nothing. Subjects are compared as they are: there are no
// patterns, and no two ways to write one.
//
// [Policy.Explain], and the command access-explain, say by which rule a call is allowed or refused.
package access
