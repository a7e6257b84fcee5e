// Package access says who may do what: a [Policy] is the mgr.Authorizer of a daemon that has other
// clients than its own user.
//
// A client has credentials, which its transport has proven. A [Principal] gives one of them a role;
// a user's and a token's role stands in their file (package secrets). A role allows levels of access:
//
//	monitor    read
//	operator   read, write
//	admin      read, write, admin
//
// What has not been allowed is refused. Subjects are compared as they are: there are no patterns, and
// no two ways to write one.
package access
