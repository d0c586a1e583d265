# expect: KD701 KD702 KD711
from tensorflow.keras.callbacks import EarlyStopping, ModelCheckpoint
from tensorflow.keras.layers import Dense
from tensorflow.keras.models import Sequential

model = Sequential([Dense(1)])
model.compile("sgd", "mse")
callbacks = []
callbacks.append(EarlyStopping(patience=3))
callbacks.append(ModelCheckpoint("best.keras", save_best_only=True))
history = model.fit(x, y, validation_data=val, epochs=100, callbacks=callbacks)
print(history.history)
