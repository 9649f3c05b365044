/*
 * commands.h - the subcommands of ubpfctl: each is the one function of its file
 */
#ifndef UBPFFS_TOOLS_COMMANDS_H
#define UBPFFS_TOOLS_COMMANDS_H

int cmd_load(int argc, char **argv);
int cmd_push(int argc, char **argv);
int cmd_filter(int argc, char **argv);
int cmd_list(int argc, char **argv);
int cmd_trace(int argc, char **argv);
int cmd_flame(int argc, char **argv);
int cmd_run(int argc, char **argv);

#endif
