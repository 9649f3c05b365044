/*
 * completion.c - ubpfctl completion: for each shell, from the table of the commands
 *
 * After a command its options and fixed words are offered, and files.
 */
#include <stdio.h>
#include <string.h>
#include "tools/lib/commands.h"

static void bash(void)
{
	const struct command *c;

	printf("_ubpfctl()\n{\n"
	       "\tlocal i command= words='-m -h -V help'\n\n"
	       "\tfor ((i = 1; i < COMP_CWORD; i++)); do\n"
	       "\t\tcase ${COMP_WORDS[i]} in\n"
	       "\t\t-m) ((i++)) ;;\n"
	       "\t\t-*) ;;\n"
	       "\t\t*) command=${COMP_WORDS[i]}; break ;;\n"
	       "\t\tesac\n"
	       "\tdone\n"
	       "\tcase $command in\n"
	       "\t'' | help) words+=' ");
	for (c = commands; c->name; c++)
		printf("%s%s", c == commands ? "" : " ", c->name);
	printf("' ;;\n");
	for (c = commands; c->name; c++)
		printf("\t%s) words='%s --help' ;;\n", c->name, c->words);
	printf("\tesac\n"
	       "\tmapfile -t COMPREPLY < <(compgen -W \"$words\" -- "
	       "\"${COMP_WORDS[COMP_CWORD]}\")\n"
	       "}\n"
	       "complete -o default -F _ubpfctl ubpfctl\n");
}

static void zsh(void)
{
	const struct command *c;

	printf("#compdef ubpfctl\n"
	       "_ubpfctl()\n{\n"
	       "\tlocal -a commands\n"
	       "\tcommands=(\n");
	for (c = commands; c->name; c++)
		printf("\t\t'%s:%s'\n", c->name, c->what);
	printf("\t)\n"
	       "\tif ((CURRENT == 2)); then\n"
	       "\t\t_describe command commands\n"
	       "\t\treturn\n"
	       "\tfi\n"
	       "\tcase ${words[2]} in\n"
	       "\thelp) _describe command commands ;;\n");
	for (c = commands; c->name; c++)
		printf("\t%s) compadd -- %s --help ;;\n", c->name, c->words);
	printf("\tesac\n"
	       "\t_files\n"
	       "}\n"
	       "_ubpfctl \"$@\"\n");
}

static void fish(void)
{
	const struct command *c;

	printf("complete -c ubpfctl -n __fish_use_subcommand -s m -d 'the mount' -r\n");
	for (c = commands; c->name; c++)
		printf("complete -c ubpfctl -n __fish_use_subcommand -a %s -d '%s'\n"
		       "complete -c ubpfctl -n '__fish_seen_subcommand_from %s' -a '%s'\n",
		       c->name, c->what, c->name, c->words);
}

int cmd_completion(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*print)(void);
	} shells[] = {{"bash", bash}, {"zsh", zsh}, {"fish", fish}};

	for (size_t i = 0; argc == 2 && i < sizeof(shells) / sizeof(shells[0]); i++)
		if (!strcmp(argv[1], shells[i].name)) {
			shells[i].print();
			return 0;
		}
	return 2;
}
