/*
 * completion.c - ubpfctl completion: for each shell, from the table of the commands
 *
 * After a command its options and fixed words are offered, the names of programs and maps where it
 * takes them (@progs and @maps among its words), and files.
 */
#include <stdio.h>
#include <string.h>
#include "tools/lib/commands.h"
#include "tools/lib/output.h"

/* The names in the first column of a list. */
#define NAMES "ubpfctl %s list %s 2> /dev/null | awk 'NR > 1 && $1 !~ /^\\(/ { print $1 }'"

/* Between single quotes. */
static void quoted(const char *s, const char *quote)
{
	for (; *s; s++)
		if (*s == '\'')
			fputs(quote, stdout);
		else
			putchar(*s);
}

/* The words that are not @progs or @maps, and what all commands take. */
static void fixed(const struct command *c)
{
	const char *at = c->words;
	bool first = true;

	while (*at) {
		size_t n = strcspn(at, " ");

		if (*at != '@') {
			printf("%s%.*s", first ? "" : " ", (int)n, at);
			first = false;
		}
		at += n;
		at += strspn(at, " ");
	}
	printf("%s--help%s", first ? "" : " ", c->json ? " -j -p" : "");
}

/* $(...) of the names that the command takes. */
static void names(const struct command *c, const char *mount, const char *begin, const char *end)
{
	static const char *const kinds[] = {"progs", "maps"};

	for (size_t i = 0; i < 2; i++) {
		char word[16];

		snprintf(word, sizeof(word), "@%s", kinds[i]);
		if (!strstr(c->words, word))
			continue;
		printf("%s", begin);
		printf(NAMES, mount, kinds[i]);
		printf("%s", end);
	}
}

static void bash(void)
{
	const struct command *c;

	printf("_ubpfctl()\n{\n"
	       "\tlocal i command= words='-m -j -p -h -V help' mount=()\n\n"
	       "\tfor ((i = 1; i < COMP_CWORD; i++)); do\n"
	       "\t\tcase ${COMP_WORDS[i]} in\n"
	       "\t\t-m) mount=(-m \"${COMP_WORDS[++i]}\") ;;\n"
	       "\t\t-*) ;;\n"
	       "\t\t*) command=${COMP_WORDS[i]}; break ;;\n"
	       "\t\tesac\n"
	       "\tdone\n"
	       "\tcase $command in\n"
	       "\t'' | help) words+=' ");
	for (c = commands; c->name; c++)
		printf("%s%s", c == commands ? "" : " ", c->name);
	printf("' ;;\n");
	for (c = commands; c->name; c++) {
		printf("\t%s) words='", c->name);
		fixed(c);
		putchar('\'');
		names(c, "\"${mount[@]}\"", "\" $(", ")\"");
		printf(" ;;\n");
	}
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
	for (c = commands; c->name; c++) {
		printf("\t\t'%s:", c->name);
		quoted(c->what, "'\\''");
		printf("'\n");
	}
	printf("\t)\n"
	       "\tif ((CURRENT == 2)); then\n"
	       "\t\t_describe command commands\n"
	       "\t\treturn\n"
	       "\tfi\n"
	       "\tcase ${words[2]} in\n"
	       "\thelp) _describe command commands ;;\n");
	for (c = commands; c->name; c++) {
		printf("\t%s) compadd -- ", c->name);
		fixed(c);
		names(c, "", " ${(f)\"$(", ")\"}");
		printf(" ;;\n");
	}
	printf("\tesac\n"
	       "\t_files\n"
	       "}\n"
	       "_ubpfctl \"$@\"\n");
}

static void fish(void)
{
	const struct command *c;

	printf("complete -c ubpfctl -n __fish_use_subcommand -s m -d 'the mount' -r\n"
	       "complete -c ubpfctl -n __fish_use_subcommand -s j -d 'JSON'\n"
	       "complete -c ubpfctl -n __fish_use_subcommand -s p -d 'JSON, indented'\n"
	       "function __ubpfctl_names\n\tubpfctl list $argv 2> /dev/null | "
	       "string match -r '^[^( ]+' | tail -n +2\nend\n");
	for (c = commands; c->name; c++) {
		printf("complete -c ubpfctl -n __fish_use_subcommand -a %s -d '", c->name);
		quoted(c->what, "\\'");
		printf("'\ncomplete -c ubpfctl -n '__fish_seen_subcommand_from %s' -a '", c->name);
		fixed(c);
		for (int maps = 0; maps < 2; maps++)
			if (strstr(c->words, maps ? "@maps" : "@progs"))
				printf(" (__ubpfctl_names %s)", maps ? "maps" : "progs");
		printf("'\n");
	}
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
			return out_done();
		}
	return 2;
}
