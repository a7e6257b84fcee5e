package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"text/tabwriter"

	"github.com/rudderpost/rudderpost/access/secrets"

	"github.com/spf13/cobra"
)

// userCommand returns "steer user", which writes the users-file of a daemon. A password is asked for
// at a terminal, and otherwise is the first line of stdin.
func userCommand(stdin io.Reader, stdout io.Writer) *cobra.Command {
	cmd := group("user", "Give and take away passwords.", `Write the users-file of a daemon, which its [auth] names: who may log in with a
password, and which role that gives. A daemon that runs follows within a second.

The password is asked for at a terminal; otherwise it is the first line of standard
input. It is never an argument, where other users could see it.`)
	t := &trust{}
	t.flag(cmd)
	cmd.AddCommand(userAdd(stdin, t), userPasswd(stdin, t), userRemove(t), userList(stdout, t))
	return cmd
}

// group returns a command that only has others below it.
func group(name, short, long string) *cobra.Command {
	return &cobra.Command{
		Use: name, Short: short, Long: long,
		SilenceUsage: true, SilenceErrors: true,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return fmt.Errorf("what about it? See steer %s --help", name)
		},
	}
}

func userAdd(stdin io.Reader, t *trust) *cobra.Command {
	var role string
	cmd := &cobra.Command{
		Use:     "add FILE NAME --role ROLE",
		Short:   "Add a user. ROLE is monitor, operator, admin or one of the daemon's own.",
		Example: "  steer user add run/users ann --role operator",
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			users, err := openOrMake(cmd, args[0], t, secrets.OpenUsers)
			if err != nil {
				return err
			}
			if err := users.MayAdd(args[1], role); err != nil {
				return err
			}
			password, err := readPassword(cmd.Context(), stdin, cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			if err := users.Add(args[1], role, password); err != nil {
				return err
			}
			noteRole(cmd, role)
			return nil
		},
	}
	roleFlag(cmd, &role)
	return cmd
}

func userPasswd(stdin io.Reader, t *trust) *cobra.Command {
	return &cobra.Command{
		Use:   "passwd FILE NAME",
		Short: "Give a user another password.",
		Args:  cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			users, err := existing(args[0], t, secrets.OpenUsers)
			if err != nil {
				return err
			}
			if !slices.ContainsFunc(users.List(), func(u secrets.User) bool { return u.Name == args[1] }) {
				return fmt.Errorf("there is no user %q in %s", args[1], args[0])
			}
			password, err := readPassword(cmd.Context(), stdin, cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			return users.SetPassword(args[1], password)
		},
	}
}

func userRemove(t *trust) *cobra.Command {
	return &cobra.Command{
		Use:   "remove FILE NAME",
		Short: "Remove a user.",
		Args:  cobra.ExactArgs(2),
		RunE: func(_ *cobra.Command, args []string) error {
			users, err := existing(args[0], t, secrets.OpenUsers)
			if err != nil {
				return err
			}
			return users.Remove(args[1])
		},
	}
}

func userList(stdout io.Writer, t *trust) *cobra.Command {
	return &cobra.Command{
		Use:   "list FILE",
		Short: "List the users and their roles.",
		Args:  cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			users, err := existing(args[0], t, secrets.OpenUsers)
			if err != nil {
				return err
			}
			table := tabwriter.NewWriter(stdout, 0, 8, 2, ' ', 0)
			for _, u := range users.List() {
				fmt.Fprintf(table, "%s\t%s\n", u.Name, u.Role)
			}
			return table.Flush()
		},
	}
}

// roleFlag adds --role, which has no default: what somebody may do is said, not guessed.
func roleFlag(cmd *cobra.Command, role *string) {
	cmd.Flags().StringVar(role, "role", "", "monitor (read), operator (read, write), admin, or a [[role]] of the daemon's own")
	_ = cmd.MarkFlagRequired("role")
	_ = cmd.RegisterFlagCompletionFunc("role", cobra.FixedCompletions(secrets.Roles(), cobra.ShellCompDirectiveNoFileComp))
}

// noteRole says what a role needs that only some daemons have.
func noteRole(cmd *cobra.Command, role string) {
	if !slices.Contains(secrets.Roles(), role) {
		fmt.Fprintf(cmd.ErrOrStderr(), "The daemon must have a [[role]] of the name %q; else it allows nothing.\n", role)
	}
}

// openOrMake opens a file that may be new. It says so then: no daemon reads a mistyped one.
func openOrMake[T any](cmd *cobra.Command, path string, t *trust, open func(string, ...uint32) (T, error)) (T, error) {
	_, missing := os.Lstat(path)
	file, err := open(path, t.owners(path)...)
	if err == nil && errors.Is(missing, fs.ErrNotExist) {
		fmt.Fprintf(cmd.ErrOrStderr(), "%s is a new file.\n", path)
	}
	return file, err
}

// existing opens a file that must be there: a mistyped name is no reason to make one.
func existing[T any](path string, t *trust, open func(string, ...uint32) (T, error)) (file T, err error) {
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		return file, fmt.Errorf("%w; is that the name?", err)
	}
	return open(path, t.owners(path)...)
}
