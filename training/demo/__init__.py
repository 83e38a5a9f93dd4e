"""The parts of the main job, ``training.pipeline.run_demo``, each measuring or making one thing.

``settings`` says what to do, ``stages`` trains the five networks or finds them trained, ``model_files`` quantizes,
writes and judges them, ``speed`` times them, ``curves`` varies the sparsity, ``examples`` picks pictures,
``environment`` describes the machine. What they find out is put together as a ``training.report.Report``.
"""
