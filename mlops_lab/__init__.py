"""The whole MLOps loop, true and measured, on one laptop, in Jupyter.

Modules:

- `mlops_lab.command_line.commands`: Offer the lab at a terminal as the program `mlops-lab`.
- `mlops_lab.command_line.doctor`: Find out whether this machine can run the lab, and say what to mend.
- `mlops_lab.command_line.jupyter_servers`: Open the run tracker and the scoring service from JupyterLab's launcher.
- `mlops_lab.command_line.jupyterlab`: Open JupyterLab on the landing notebook, with everything in place.
- `mlops_lab.command_line.landing`: Show what is in this lab right now, and what to do next.
- `mlops_lab.command_line.progress`: Show a run as it happens, on a terminal or in a log.
- `mlops_lab.command_line.wiring`: Tell the engine which facts about the lab the case study's stages depend on.
- `mlops_lab.data.contract`: Stop bad rows with a counted reason before they reach a model.
- `mlops_lab.data.findings`: Count what a person wants to know about labelled texts before modelling.
- `mlops_lab.data.preparation`: Clean text in one way, for training rows and for every request.
- `mlops_lab.data.segregation`: Split rows into train, dev, test and holdout so that nothing leaks.
- `mlops_lab.data.sources`: Load rows of the world or of the user's own file through one door.
- `mlops_lab.data.views`: Draw what the findings say, in figures people want to look at.
- `mlops_lab.data.world`: Make any number of course-feedback messages whose truth is known.
- `mlops_lab.data.world_draws`: Draw random numbers that depend only on seed, row and position.
- `mlops_lab.data.world_evidence`: Tell how likely each emotion is to choose each cue.
- `mlops_lab.data.world_phrases`: Fill the slots of hand-written phrases for one message in the making.
- `mlops_lab.data.world_posterior`: Compute what a perfect reader would believe, and the score no model can pass.
- `mlops_lab.data.world_scene`: Decide who writes, when, and about what.
- `mlops_lab.data.world_settings`: Name the knobs of the simulated world and read its hand-written tables.
- `mlops_lab.data.world_style`: Spell a message the way its author would.
- `mlops_lab.data.world_writer`: Write one message and note the evidence it shows.
- `mlops_lab.foundation.chain`: Keep an append-only log in which any edit is noticed.
- `mlops_lab.foundation.errors`: Name what went wrong in the words of the person it happens to.
- `mlops_lab.foundation.records`: Digest what exists and write what must not be half-written.
- `mlops_lab.foundation.settings`: Read the lab's runtime settings once, typed and checked.
- `mlops_lab.foundation.workspace`: Know every path of the lab's state folder.
- `mlops_lab.models.bag_model`: Compute probabilities from a bag of features with one table and NumPy.
- `mlops_lab.models.bundle`: Keep a whole model in one folder that can be checked and read without running any of its content.
- `mlops_lab.models.candidates`: Offer the candidates by name.
- `mlops_lab.models.embedding`: Learn a vector for every feature with TensorFlow, and decide on their weighted sum.
- `mlops_lab.models.evaluation`: Judge answers against the truth: overall, per class, per slice, with intervals.
- `mlops_lab.models.features`: Describe a text by its words, word pairs and letter sequences, the same way offline and online.
- `mlops_lab.models.learning`: Say what every candidate gets and what it has to give.
- `mlops_lab.models.linear`: Learn a task by TF-IDF and logistic regression.
- `mlops_lab.models.profile`: Summarise what texts and answers looked like when a model was made, for the monitors to compare.
- `mlops_lab.models.scorer`: Give labels with probabilities for texts, the same way in a notebook, a batch and a service.
- `mlops_lab.models.tasks`: Name the labels a model has to tell apart.
- `mlops_lab.models.training`: Train a candidate on labelled rows and keep it as a bundle.
- `mlops_lab.models.views`: Draw what training and evaluation found.
- `mlops_lab.monitoring.drift`: Say which differences between two profiles are more than chance.
- `mlops_lab.monitoring.performance`: Tell how good the answers are: expected at once, measured when labels arrive.
- `mlops_lab.monitoring.profile`: Summarise texts and answers of a window so that windows can be compared.
- `mlops_lab.monitoring.spread`: Measure how much a mean varies when texts of one author resemble each other.
- `mlops_lab.monitoring.views`: Draw each drift signal against its threshold.
- `mlops_lab.pipeline.cache_key`: Name everything a stage's result depends on, and say what changed.
- `mlops_lab.pipeline.closure`: Find the code and the packages that a piece of code really uses.
- `mlops_lab.pipeline.engine`: Execute one notebook through Papermill and tell truthfully how it ended.
- `mlops_lab.pipeline.engine_door`: Let Papermill know our engine without loading it.
- `mlops_lab.pipeline.execution`: Say how a notebook is to be executed and how it ended.
- `mlops_lab.pipeline.explanation`: Say whether a stage would run again, and which change would make it.
- `mlops_lab.pipeline.figure`: Draw figures that fit light pages, dark pages and paper.
- `mlops_lab.pipeline.fork`: Live as one stage: run the cells the runner sends, and tell what happens.
- `mlops_lab.pipeline.fork_run`: Run the cells of a notebook in a fork that has its imports made.
- `mlops_lab.pipeline.fork_server`: Give each stage a process of its own that has its imports already made.
- `mlops_lab.pipeline.history`: Tell what the ledger says about runs.
- `mlops_lab.pipeline.kernel_run`: Run the cells of a notebook in a real kernel.
- `mlops_lab.pipeline.located_yaml`: Read YAML whose keys know their lines.
- `mlops_lab.pipeline.memory`: Remember what was worked out from files until one of them changes.
- `mlops_lab.pipeline.notebook`: Read what a stage notebook asks for, without running it.
- `mlops_lab.pipeline.packages`: Name the versions and the data files that code depends on.
- `mlops_lab.pipeline.plan`: Read a pipeline definition, or point at the line that is wrong.
- `mlops_lab.pipeline.profile`: Give a pipeline other parameter values by one name.
- `mlops_lab.pipeline.record`: Say what one stage did, in a form that programs and people read.
- `mlops_lab.pipeline.report`: Make one self-contained page about a run.
- `mlops_lab.pipeline.run_lock`: Let the runs of one pipeline in one workspace take turns.
- `mlops_lab.pipeline.runner`: Run all stages of a pipeline in order, in parallel where they may, into the ledger.
- `mlops_lab.pipeline.selection`: Choose which stages of a run take part, and how.
- `mlops_lab.pipeline.shell`: Run the cells of a notebook in this process and tell every output.
- `mlops_lab.pipeline.source`: Tell which commit of a project is being run.
- `mlops_lab.pipeline.stage`: Give a stage notebook its inputs, its outputs and its record.
- `mlops_lab.pipeline.stage_run`: Bring one stage of a run to its end: restored, or run and judged.
- `mlops_lab.pipeline.store`: Keep results of stages by content, whole or absent.
- `mlops_lab.pipeline.warm_forks`: Have the imports of a run's stages made before the stages need them.
- `mlops_lab.serving.batch`: Send a table of texts through the service and read the stored scores back.
- `mlops_lab.serving.client`: Ask the scoring service from Python, with the standard library alone.
- `mlops_lab.serving.fields`: Read single fields of a request, or say exactly what is wrong with them.
- `mlops_lab.serving.inference_protocol`: Speak the Open Inference Protocol V2, so that standard clients need no change.
- `mlops_lab.serving.launcher`: Run the scoring service as a process of its own, and never leave it behind.
- `mlops_lab.serving.messages`: Check what comes in and shape what goes out.
- `mlops_lab.serving.metrics`: Count what the service does and tell it in Prometheus' text form.
- `mlops_lab.serving.model_source`: Know which model answers now, and swap it when another is promoted.
- `mlops_lab.serving.pages`: Give people a page to try the model, and programmers a page to call it.
- `mlops_lab.serving.refusals`: Say no to a request in a way that programs and people understand.
- `mlops_lab.serving.score_record`: Name everything that is kept about one answered text.
- `mlops_lab.serving.score_store`: Keep every score the service gave, and what people said about it later.
- `mlops_lab.serving.score_tables`: Describe how scores and feedback lie in a SQL database, and read and write them.
- `mlops_lab.serving.scoring`: Turn texts into stored scores, without knowing anything about HTTP.
- `mlops_lab.serving.service`: Put the scoring service behind HTTP, with thin routes and firm limits.
- `mlops_lab.serving.smoke_test`: Ask a running service the few questions that show it is the right one.
- `mlops_lab.serving.write_queue`: Collect rows from many callers and write them in groups, in one thread.
- `mlops_lab.teaching.cards`: Show a short coloured answer under a cell, with the same words as plain text.
- `mlops_lab.teaching.checks`: Answer a learner at once: what was found, what was expected, what to try next.
- `mlops_lab.teaching.lessons`: Read a lesson and refuse it if class would stumble over it.
- `mlops_lab.teaching.markers`: Take solutions and hidden tests out of a cell, by nbgrader's markers.
- `mlops_lab.teaching.releases`: Make the student's and the instructor's notebook of a lesson, in both languages.
- `mlops_lab.teaching.texts`: Read the texts a learner sees, in English or Spanish, from data files.
- `mlops_lab.tracking.decisions`: Read from the decision log which model was champion when, and why.
- `mlops_lab.tracking.gate`: Judge whether a candidate may become champion, with a reason for every rule.
- `mlops_lab.tracking.mirror`: Repeat the decision log as MLflow model versions and aliases.
- `mlops_lab.tracking.registry`: Register models, and move the championship with who, in which role and why.
- `mlops_lab.tracking.runs`: Record a training run in MLflow with everything MLflow does not note by itself."""

# AUTOGENERATED! DO NOT EDIT! File to edit: ../notebooks/index.ipynb.

# %% auto #0
__all__ = []

# %% ../notebooks/index.ipynb #8c62f3a9
__version__ = "0.1.0"
