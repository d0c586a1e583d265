# expect: KD701 KD702 KD711
# %% [markdown]
# A notebook as a script

# %%
import keras

# %%
model = keras.Sequential([keras.layers.Dense(1)])
model.compile("adam", "mse")

# %%
history = model.fit(x, y, epochs=5)
history.history
