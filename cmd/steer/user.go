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

// userCommand returns "steer user", which edits the users-file of a daemon. It asks for a password at a terminal, and
// otherwise reads the first line of stdin.
func userCommand(stdin io.Reader, stdout io.Writer) *cobra.Command {
	cmd := parentCommand("user", "Add, change and remove users with a password.", `Edit the users-file of a daemon, which [auth] in its configuration names. Each user has a
password and a role. A running daemon applies a change within a second.

steer asks for the password at a terminal; otherwise it reads the first line of standard
input. The password is never an argument, because other users could see it there.`)
	owners := &trustedOwners{}
	owners.addFlag(cmd)
	cmd.AddCommand(userAdd(stdin, owners), userPasswd(stdin, owners), userRemove(owners), userList(stdout, owners))
	return cmd
}

// parentCommand returns a command that has only subcommands.
func parentCommand(name, short, long string) *cobra.Command {
	return &cobra.Command{
		Use: name, Short: short, Long: long,
		SilenceUsage: true, SilenceErrors: true,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return fmt.Errorf("a subcommand is missing; see steer %s --help", name)
		},
	}
}

func userAdd(stdin io.Reader, owners *trustedOwners) *cobra.Command {
	var role string
	cmd := &cobra.Command{
		Use:     "add FILE NAME --role ROLE",
		Short:   "Add a user. ROLE is monitor, operator, admin or a [[role]] of the daemon.",
		Example: "  steer user add run/users ann --role operator",
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			users, err := openOrCreate(cmd, args[0], owners, secrets.OpenUsers)
			if err != nil {
				return err
			}
			if err := users.MayAdd(args[1], role); err != nil {
				return err
			}
			password, err := readNewPassword(cmd.Context(), stdin, cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			if err := users.Add(args[1], role, password); err != nil {
				return err
			}
			hintCustomRole(cmd, role)
			return nil
		},
	}
	roleFlag(cmd, &role)
	return cmd
}

func userPasswd(stdin io.Reader, owners *trustedOwners) *cobra.Command {
	return &cobra.Command{
		Use:   "passwd FILE NAME",
		Short: "Change the password of a user.",
		Args:  cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			users, err := openExisting(args[0], owners, secrets.OpenUsers)
			if err != nil {
				return err
			}
			if !slices.ContainsFunc(users.List(), func(u secrets.User) bool { return u.Name == args[1] }) {
				return fmt.Errorf("there is no user %q in %s", args[1], args[0])
			}
			password, err := readNewPassword(cmd.Context(), stdin, cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			return users.SetPassword(args[1], password)
		},
	}
}

func userRemove(owners *trustedOwners) *cobra.Command {
	return &cobra.Command{
		Use:   "remove FILE NAME",
		Short: "Remove a user.",
		Args:  cobra.ExactArgs(2),
		RunE: func(_ *cobra.Command, args []string) error {
			users, err := openExisting(args[0], owners, secrets.OpenUsers)
			if err != nil {
				return err
			}
			return users.Remove(args[1])
		},
	}
}

func userList(stdout io.Writer, owners *trustedOwners) *cobra.Command {
	return &cobra.Command{
		Use:   "list FILE",
		Short: "List the users and their roles.",
		Args:  cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			users, err := openExisting(args[0], owners, secrets.OpenUsers)
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

// roleFlag adds --role, which is required and has no default.
func roleFlag(cmd *cobra.Command, role *string) {
	cmd.Flags().StringVar(role, "role", "", "monitor (read), operator (read, write), admin, or a [[role]] of the daemon")
	_ = cmd.MarkFlagRequired("role")
	_ = cmd.RegisterFlagCompletionFunc("role", cobra.FixedCompletions(secrets.Roles(), cobra.ShellCompDirectiveNoFileComp))
}

// hintCustomRole prints a hint for a role that is not built in.
func hintCustomRole(cmd *cobra.Command, role string) {
	if !slices.Contains(secrets.Roles(), role) {
		fmt.Fprintf(cmd.ErrOrStderr(), "The daemon must have a [[role]] with the name %q; otherwise the role allows nothing.\n", role)
	}
}

// openOrCreate opens a file, or creates it. It reports a new file, because the name may be mistyped.
func openOrCreate[T any](cmd *cobra.Command, path string, owners *trustedOwners, open func(string, ...uint32) (T, error)) (T, error) {
	_, statErr := os.Lstat(path)
	file, err := open(path, owners.forPath(path)...)
	if err == nil && errors.Is(statErr, fs.ErrNotExist) {
		fmt.Fprintf(cmd.ErrOrStderr(), "%s is a new file.\n", path)
	}
	return file, err
}

// openExisting opens a file, and returns an error if it does not exist.
func openExisting[T any](path string, owners *trustedOwners, open func(string, ...uint32) (T, error)) (file T, err error) {
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		return file, fmt.Errorf("%w; check the file name", err)
	}
	return open(path, owners.forPath(path)...)
}
