// Package access decides which peer may run which command. A [Policy] is the mgr.Authorizer of a daemon that serves
// other peers than its own user.
//
// To use it: make a Policy with [NewPolicy], set it as mgr.Options.Authorizer, and register [Commands]. After a
// change of the configuration call [Policy.Update]. Print what [Policy.UndefinedRoles] and [Policy.UnusedRules]
// return, so that an administrator sees spelling mistakes.
//
// A peer has credentials, which its transport has proven. A [Principal] gives the subject of a credential a role. The
// role of a user or of a token stands in its file (package secrets). A [Role] is a list of rules that allow and
// deny: levels, commands, and patterns of commands. It may also restrict the arguments of commands. Three roles are
// built in:
//
//	monitor    read
//	operator   read, write
//	admin      read, write, admin
//
// A call is allowed if a role of its peer allows the command and no role of its peer denies it. Everything else is
// refused.
//
// By default the user that the daemon runs as, root and the daemon itself have the role admin, and members of the
// group of a UNIX socket have the role monitor. All other peers have no role. Subjects are compared byte by byte:
// there are no patterns, and each subject has one spelling.
//
// [Policy.Explain], and the command access-explain, return the rule by which a call is allowed or refused.
package access
