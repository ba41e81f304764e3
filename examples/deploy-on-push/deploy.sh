#!/bin/sh
# What a deployment is, is yours. Standard input is the whole event; what is printed is kept with the attempt.
set -eu
repository=$1 commit=$2
cd "${CHECKOUTS:?where the checkouts are}/$repository"
git fetch --quiet origin
git checkout --quiet --detach "$commit"
echo "$repository is at $(git rev-parse --short HEAD)"
